//! What layers refuse, and how graphs are put together. That they compute the right thing is in `golden.rs`.

use paceline_graph::reference::evaluate;
use paceline_graph::{DType, Op, Shape, Tensor};
use paceline_nn::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, BatchNorm1d, BatchNorm2d, Conv1d, Conv2d, ConvTranspose1d,
    Embedding, Flatten, GroupNorm, Identity, Layer, LayerNorm, Linear, Masks, MaxPool1d, Module,
    MultiheadAttention, Padding, RMSNorm, ReLU, Sequential, Softmax, StateDict, TransformerDecoder,
    TransformerDecoderLayer, TransformerEncoderLayer, Unflatten, build, build_layer,
};

#[test]
fn a_wrong_configuration_or_input_is_an_error_that_says_where() {
    fn inside(layer: impl Layer + 'static) -> Sequential {
        Sequential::new().then(Identity).then(layer)
    }
    // (layer, input without the batch, part of the message)
    let cases: Vec<(Sequential, &[usize], &str)> = vec![
        (inside(Linear::new(3, 2)), &[4], "node '1' (Linear)"),
        (
            inside(Conv1d::new(3, 2, 3).padding(Padding::Same).stride(2)),
            &[3, 9],
            "layer '1': expected a stride of 1",
        ),
        (inside(Conv1d::new(3, 2, 3)), &[4, 9], "node '1' (Conv)"),
        (inside(Conv1d::new(3, 2, 3)), &[3, 2], "node '1' (Conv)"),
        (inside(Conv1d::new(3, 2, 3)), &[3, 9, 9], "node '1' (Conv)"),
        (inside(Conv1d::new(3, 2, 3).stride(0)), &[3, 9], "node '1' (Conv)"),
        (inside(Conv1d::new(4, 2, 3).groups(0)), &[4, 9], "node '1' (Conv)"),
        (inside(Conv1d::new(4, 3, 3).groups(2)), &[4, 9], "node '1' (Conv)"),
        (inside(Conv1d::new(5, 4, 3).groups(2)), &[5, 9], "node '1' (Conv)"),
        (inside(Conv2d::new(3, 2, 3)), &[3, 9], "node '1' (Conv)"),
        (
            inside(ConvTranspose1d::new(3, 2, 3).output_padding(1)),
            &[3, 9],
            "layer '1': expected an output_padding",
        ),
        (inside(ConvTranspose1d::new(3, 2, 3).groups(0)), &[3, 9], "node '1' (ConvTranspose)"),
        (inside(LayerNorm::new(3)), &[4], "layer '1': expected an input whose last axes are [3]"),
        (
            inside(LayerNorm::new(3).elementwise_affine(false)),
            &[4],
            "layer '1': expected an input whose last axes",
        ),
        (inside(LayerNorm::over([2, 3])), &[3], "layer '1': expected an input whose last axes are [2, 3]"),
        (inside(RMSNorm::over([3])), &[3, 2], "layer '1': expected an input whose last axes are [3]"),
        (
            inside(BatchNorm1d::new(3)),
            &[3, 4, 5],
            "layer '1': expected an input [N, C, ...] with 1 spatial axes",
        ),
        (
            inside(BatchNorm2d::new(3)),
            &[3, 4],
            "layer '1': expected an input [N, C, ...] with 2 spatial axes",
        ),
        (inside(BatchNorm1d::new(3)), &[4], "node '1' (BatchNorm"),
        (inside(GroupNorm::new(2, 3)), &[3, 4], "node '1' (Group"),
        (inside(GroupNorm::new(1, 3).affine(false)), &[4], "layer '1': expected an input [N, 3, ...]"),
        (inside(Embedding::new(3, 2)), &[4], "node '1' (Embedding)"),
        (inside(Softmax::new(0)), &[4], "node '1' (Softmax)"),
        (inside(Softmax::new(2)), &[4], "node '1' (Softmax)"),
        (inside(MaxPool1d::new(2).padding(2)), &[3, 4], "node '1' (MaxPool)"),
        (
            inside(AdaptiveAvgPool1d::new(3)),
            &[2, 7],
            "layer '1': expected an input [N, C, ...] with 1 spatial axes divisible",
        ),
        (inside(AdaptiveAvgPool1d::new(0)), &[2, 7], "layer '1'"),
        (inside(AdaptiveAvgPool2d::new(1)), &[2, 7], "layer '1'"),
        (inside(MultiheadAttention::new(6, 4)), &[3, 6], "node '1.attention' (Attention)"),
        (inside(MultiheadAttention::new(6, 0)), &[3, 6], "node '1.attention' (Attention)"),
        (inside(TransformerEncoderLayer::new(6, 2)), &[3, 4], "node '1.self_attn.in_proj' (Linear)"),
        (inside(Flatten::axes(2, 1)), &[2, 7], "layer '1': expected an input with axes 2 to 1"),
        (inside(Flatten::axes(1, 3)), &[2, 7], "layer '1': expected an input with axes 1 to 3"),
        (inside(Unflatten::new(3, [2])), &[2, 7], "layer '1': expected an input with an axis 3"),
        (inside(Unflatten::new(1, [2, 2])), &[5], "node '1' (Reshape)"),
    ];
    for (layer, per_sample, message) in cases {
        let error = build_layer(&layer, &StateDict::zeros(&layer), per_sample).expect_err(message);
        assert!(error.to_string().starts_with(message), "expected '{message}', got '{error}'");
    }
}

#[test]
fn shapes_of_layers_that_only_arrange() {
    let cases: [(&dyn Layer, &[usize], &[usize]); 8] = [
        (&Flatten::new(), &[2, 3, 4], &[24]),
        (&Flatten::axes(2, -1), &[2, 3, 4], &[2, 12]),
        (&Flatten::axes(-2, -2), &[2, 3, 4], &[2, 3, 4]),
        (&Unflatten::new(-1, [3, 2]), &[5, 6], &[5, 3, 2]),
        (&Unflatten::new(1, [6]), &[6], &[6]),
        (&Identity, &[6], &[6]),
        (&AdaptiveAvgPool1d::new(3), &[2, 12], &[2, 3]),
        (&AdaptiveAvgPool2d::new([1, 2]), &[2, 5, 6], &[2, 1, 2]),
    ];
    for (layer, per_sample, expected) in cases {
        let graph = build_layer(layer, &StateDict::default(), per_sample).unwrap();
        let output = &graph.value(graph.outputs()[0].value).ty.shape;
        assert_eq!(output, &Shape::batched(expected), "{layer:?}");
    }
}

#[test]
fn an_adaptive_pool_to_several_averages_equal_windows() {
    let graph = build_layer(&AdaptiveAvgPool1d::new(2), &StateDict::default(), &[1, 6]).unwrap();
    let x = Tensor::new([1, 1, 6], vec![1.0, 2.0, 6.0, 0.0, -1.0, 4.0f32]).unwrap();
    assert_eq!(evaluate(&graph, &[x]).unwrap()[0].as_f32(), Some(&[3.0, 1.0][..]));
}

#[test]
fn a_module_applied_twice_shares_its_weights() {
    let layer = MultiheadAttention::new(4, 2);
    let graph = build(&layer, &StateDict::random(&layer, 1), |scope| {
        let x = scope.input("x", DType::F32, Shape::batched(&[3, 4]))?;
        let once = layer.forward(scope, x)?;
        let twice = layer.forward(scope, once)?;
        // The decoder's way: parts of the packed weight are shared as well.
        let across = layer.attend(scope, x, twice, twice, &Masks::none())?;
        let again = layer.attend(scope, across, twice, twice, &Masks::none())?;
        scope.output("y", again)
    })
    .unwrap();
    let names: Vec<&str> = graph.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names[..5], ["in_proj", "in_proj.split", "attention", "out_proj", "in_proj#2"]);
    let whole = 4 * 4 * 4 + 4 * 4;
    let parts = 3 * 4 * 4 + 3 * 4;
    assert_eq!(graph.parameter_count(), whole + parts);
}

#[test]
fn self_attention_is_one_product_and_no_transpose() {
    let layer = TransformerEncoderLayer::new(8, 2).dim_feedforward(16);
    let graph = build_layer(&layer, &StateDict::random(&layer, 1), &[5, 8]).unwrap();
    let operators: Vec<&str> = graph.nodes().iter().map(|node| node.op.name()).collect();
    assert_eq!(operators.iter().filter(|&&name| name == "Linear").count(), 4);
    let arranging = |op: &Op| matches!(op, Op::Transpose(_) | Op::Reshape(_) | Op::Slice(_) | Op::Concat(_));
    assert!(!graph.nodes().iter().any(|node| arranging(&node.op)), "{operators:?}");
}

#[test]
fn keys_hidden_by_a_mask_do_not_matter() {
    let stack = TransformerDecoder::new(TransformerDecoderLayer::new(6, 2).dim_feedforward(8), 2)
        .norm(LayerNorm::new(6));
    let graph = build(&stack, &StateDict::scattered(&stack, 3), |scope| {
        let tgt = scope.input("tgt", DType::F32, Shape::batched(&[3, 6]))?;
        let memory = scope.input("memory", DType::F32, Shape::batched(&[4, 6]))?;
        let padding = scope.input("padding", DType::Bool, Shape::batched(&[4]))?;
        let masks = (Masks::none().causal(), Masks::none().key_padding(padding));
        let y = stack.forward(scope, tgt, memory, &masks.0, &masks.1)?;
        scope.output("y", y)
    })
    .unwrap();
    let tensor = |shape: [usize; 3], changed: Option<usize>| {
        let values = (0..shape.iter().product()).map(|i| ((i * 7) % 11) as f32 / 5.0 - 1.0);
        let values = values.enumerate().map(|(i, x)| if Some(i / 6) == changed { x + 3.0 } else { x });
        Tensor::new(shape, values.collect::<Vec<f32>>()).unwrap()
    };
    let padding = || Tensor::new([1, 4], vec![false, false, true, false]).unwrap();
    let run = |tgt: Option<usize>, memory: Option<usize>| {
        let inputs = [tensor([1, 3, 6], tgt), tensor([1, 4, 6], memory), padding()];
        evaluate(&graph, &inputs).unwrap().remove(0).as_f32().unwrap().to_vec()
    };
    let plain = run(None, None);
    assert_eq!(run(None, Some(2)), plain, "a hidden key of the memory");
    assert_ne!(run(None, Some(1)), plain, "a key of the memory that is seen");
    let future = run(Some(2), None);
    assert_eq!(future[..12], plain[..12], "what comes later in the target");
    assert_ne!(future[12..], plain[12..], "the changed token itself");
}

#[test]
fn layers_can_be_chosen_at_run_time() {
    let chosen: Vec<Box<dyn Layer>> = vec![Box::new(Linear::new(2, 3)), Box::new(ReLU)];
    let layers: Sequential = chosen.into_iter().collect();
    let module: &dyn Module = &layers;
    let state = StateDict::random(module, 1);
    assert_eq!(state.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["0.bias", "0.weight"]);
    assert_eq!(build_layer(&layers, &state, &[2]).unwrap().nodes().len(), 2);
}
