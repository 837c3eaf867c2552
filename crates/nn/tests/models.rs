//! The study's models: their names, sizes and costs, and inputs for them.

use paceline_graph::reference::evaluate;
use paceline_graph::{DType, Data, Shape, Tensor};
use paceline_nn::{
    ConvTranspose1d, Embedding, Layer, Linear, Masks, Model, MultiheadAttention, Parameters, StateDict,
    build, build_layer, flops, models, sample_inputs,
};

/// Name, floating-point operations of a sample, parameters, inputs (without the batch), output.
type Row = (&'static str, u64, usize, &'static [(&'static str, &'static [usize])], &'static [usize]);

/// The figures of the study, to the unit; what each must be follows from its dimensions as in `golden/models.py`.
const ROWS: [Row; 12] = [
    ("linear", 65_536, 32_896, &[("x", &[256])], &[128]),
    ("linear-512", 262_144, 131_328, &[("x", &[512])], &[256]),
    ("linear-1024", 1_048_576, 524_800, &[("x", &[1024])], &[512]),
    ("linear-2048", 4_194_304, 2_098_176, &[("x", &[2048])], &[1024]),
    ("linear-4096", 16_777_216, 8_390_656, &[("x", &[4096])], &[2048]),
    ("mlp", 4_194_304, 2_099_712, &[("x", &[512])], &[512]),
    ("conv1d", 25_804_800, 129_408, &[("x", &[80, 100])], &[128, 100]),
    ("tlayer", 51_380_224, 789_760, &[("x", &[32, 256])], &[32, 256]),
    ("t6", 1_220_542_464, 18_914_304, &[("x", &[32, 512])], &[32, 512]),
    ("mha", 17_825_792, 263_168, &[("x", &[32, 256])], &[32, 256]),
    ("speech", 66_060_288, 517_456, &[("x", &[80, 64])], &[64, 80]),
    ("translation", 257_556_480, 3_943_400, &[("source", &[32, 256]), ("target", &[32, 256])], &[32, 1000]),
];

#[test]
fn every_model_has_the_size_and_the_cost_of_the_study() {
    let all = models();
    assert_eq!(all.iter().map(Model::name).collect::<Vec<_>>(), ROWS.map(|row| row.0));
    for (model, (name, flops, parameters, inputs, output)) in all.iter().zip(ROWS) {
        let summary = model.summary().unwrap();
        assert_eq!((summary.flops, summary.parameters), (flops, parameters), "{name}");
        let declared = inputs.iter().map(|(input, shape)| (*input, Shape::batched(shape)));
        let got = summary.inputs.iter().map(|(input, ty)| (input.as_str(), ty.shape.clone()));
        assert!(got.eq(declared), "{name}: {:?}", summary.inputs);
        assert!(summary.inputs.iter().all(|(_, ty)| ty.dtype == DType::F32));
        let [(y, ty)] = &summary.outputs[..] else { panic!("{name} has one output") };
        assert_eq!((y.as_str(), &ty.shape), ("y", &Shape::batched(output)), "{name}");
    }
}

#[test]
fn models_are_found_by_name() {
    for model in models() {
        assert_eq!(Model::by_name(model.name()).unwrap().description(), model.description());
        assert!(!model.description().is_empty());
    }
    let error = Model::by_name("linear-3000").unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no model 'linear-3000'; the models are linear, linear-512, linear-1024, linear-2048, linear-4096, \
         mlp, conv1d, tlayer, t6, mha, speech, translation"
    );
}

#[test]
fn parameters_have_the_names_of_pytorch() {
    let names = |model: &str| {
        let model = Model::by_name(model).unwrap();
        let parameters = Parameters::of(model.network());
        parameters.list().iter().map(|p| p.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names("linear"), ["weight", "bias"]);
    assert_eq!(names("mlp"), ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"]);
    assert_eq!(names("mha"), ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]);
    assert_eq!(
        names("tlayer"),
        [
            "self_attn.in_proj_weight",
            "self_attn.in_proj_bias",
            "self_attn.out_proj.weight",
            "self_attn.out_proj.bias",
            "linear1.weight",
            "linear1.bias",
            "linear2.weight",
            "linear2.bias",
            "norm1.weight",
            "norm1.bias",
            "norm2.weight",
            "norm2.bias",
        ]
    );
    assert_eq!(names("t6")[12 * 5 + 1], "layers.5.self_attn.in_proj_bias");
    assert_eq!(names("speech")[2..5], ["mid.weight", "mid.bias", "norm.weight"]);
    let translation = names("translation");
    for name in [
        "encoder.layers.1.norm2.bias",
        "decoder.layers.0.multihead_attn.out_proj.weight",
        "decoder.layers.1.norm3.weight",
        "generator.bias",
    ] {
        assert!(translation.iter().any(|n| n == name), "{name}");
    }
}

#[test]
fn a_model_of_the_study_runs_and_a_seed_repeats_it() {
    let model = Model::by_name("mha").unwrap();
    let run = |seed| {
        let graph = model.graph(seed).unwrap();
        evaluate(&graph, &sample_inputs(&graph, 1, 9).unwrap()).unwrap().remove(0)
    };
    let y = run(1);
    assert_eq!(y.shape(), [1, 32, 256]);
    assert!(y.as_f32().unwrap().iter().all(|x| x.is_finite()));
    assert_eq!(y, run(1));
    assert_ne!(y, run(2));
}

#[test]
fn attention_without_a_layer_and_transposed_convolution_are_counted() {
    let up = ConvTranspose1d::new(6, 4, 5).stride(3).groups(2);
    let graph = build_layer(&up, &StateDict::zeros(&up), &[6, 11]).unwrap();
    // Each input element meets the kernel of each output channel of its group.
    assert_eq!(flops(&graph), 2 * 6 * 11 * (4 / 2) * 5);

    let cross = MultiheadAttention::new(12, 3).kdim(7).vdim(9);
    let graph = build(&cross, &StateDict::zeros(&cross), |scope| {
        let q = scope.input("q", DType::F32, Shape::batched(&[5, 12]))?;
        let k = scope.input("k", DType::F32, Shape::batched(&[4, 7]))?;
        let v = scope.input("v", DType::F32, Shape::batched(&[4, 9]))?;
        let y = cross.attend(scope, q, k, v, &Masks::none())?;
        scope.output("y", y)
    })
    .unwrap();
    let projections = 12 * (5 * 12 + 4 * 7 + 4 * 9 + 5 * 12);
    assert_eq!(flops(&graph), 2 * (projections + 2 * 5 * 4 * 12));
}

#[test]
fn sampled_inputs_fit_the_graph() {
    let (attention, words) = (MultiheadAttention::new(6, 2), Embedding::new(3, 6));
    let module = paceline_nn::Sequential::new().then(words).then(attention);
    let graph = build(&module, &StateDict::random(&module, 1), |scope| {
        let tokens = scope.input("tokens", DType::I64, Shape::batched(&[9]))?;
        let padding = scope.input("padding", DType::Bool, Shape::batched(&[9]))?;
        let x = words.forward(&mut scope.child("0"), tokens)?;
        let masks = Masks::none().causal().key_padding(padding);
        let y = attention.attend(&mut scope.child("1"), x, x, x, &masks)?;
        scope.output("y", y)
    })
    .unwrap();
    let inputs = sample_inputs(&graph, 40, 4).unwrap();
    assert_eq!(inputs, sample_inputs(&graph, 40, 4).unwrap());
    assert_ne!(inputs, sample_inputs(&graph, 40, 5).unwrap());
    let tokens = inputs[0].as_i64().unwrap();
    assert!((0..3).all(|row| tokens.contains(&row)) && tokens.iter().all(|row| (0..3).contains(row)));
    let padding = inputs[1].as_bool().unwrap();
    let hidden = padding.iter().filter(|&&hidden| hidden).count();
    assert!((40..120).contains(&hidden), "{hidden} of 360 hidden");
    assert!(padding.iter().step_by(9).all(|&hidden| !hidden), "the first key of each sample is seen");
    let y = evaluate(&graph, &inputs).unwrap().remove(0);
    assert!(y.as_f32().unwrap().iter().all(|x| x.is_finite()));
}

#[test]
fn sampled_numbers_are_close_to_standard_normal() {
    let layer = Linear::new(1000, 1);
    let graph = build_layer(&layer, &StateDict::zeros(&layer), &[1000]).unwrap();
    let inputs: Vec<Tensor> = sample_inputs(&graph, 10, 8).unwrap();
    let Data::F32(x) = inputs[0].data() else { panic!("f32") };
    let mean = x.iter().sum::<f32>() / 1e4;
    let variance = x.iter().map(|x| x * x).sum::<f32>() / 1e4;
    let largest = x.iter().fold(0f32, |m, x| m.max(x.abs()));
    assert!(mean.abs() < 0.04 && (variance - 1.0).abs() < 0.04, "mean {mean}, variance {variance}");
    assert!((2.5..=3.5).contains(&largest), "{largest}");
    assert_eq!(sample_inputs(&graph, 0, 8).unwrap()[0].shape(), [0, 1000]);
}
