//! What is served: a program for each of two shapes, on so many lanes, with a real or a scripted device behind it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use paceline::cpu::CpuDevice;
use paceline::graph::Graph;
use paceline::nn::models::{Network, Speech, convolutions, encoder_layer, perceptron};
use paceline::nn::{Model as Layers, StateDict};
use paceline::seam::fake::{FakeProgram, Latency, rows};
use paceline::seam::{BatchSizes, CompileOptions, Device, Program};
use paceline::{LoadOptions, Model, Tensor};
use paceline_engine::Engine;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Names of all subjects.
pub const NAMES: [&str; 6] = ["sleeping", "busy", "mlp", "conv1d", "tlayer", "speech"];

/// Different inputs of each shape and number of samples.
const VARIETY: usize = 16;
/// Samples of a large request.
pub const LARGE: usize = 16;

const fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

/// A device beside the host: four streams that do not disturb each other, and larger batches at little cost.
static SLEEPING: [(usize, Duration); 6] =
    [(1, us(2000)), (8, us(2200)), (16, us(2600)), (32, us(3600)), (64, us(6000)), (128, us(12_000))];
/// A device that is the host's cores, with the costs of `mlp` on one of this project's machines.
static BUSY: [(usize, Duration); 6] =
    [(1, us(276)), (8, us(276)), (14, us(380)), (15, us(456)), (20, us(512)), (64, us(1568))];

fn cores() -> usize {
    CpuDevice::new().info().default_lanes
}

/// What is served.
pub struct Subject {
    pub name: String,
    pub lanes: usize,
    /// The lanes leave a core of this machine to whoever makes the requests.
    pub core_to_spare: bool,
    pub max_batch: usize,
    /// Of two shapes.
    pub programs: [Arc<dyn Program>; 2],
    /// By shape: of one sample, and of [`LARGE`].
    inputs: [(Vec<Tensor>, Vec<Tensor>); 2],
    input: String,
}

impl Subject {
    /// The subject of this name, with so many lanes if they are cores of this machine.
    pub fn new(name: &str, lanes: Option<usize>) -> Result<Self> {
        let lanes = lanes.unwrap_or_else(cores).max(1);
        let fake = |latency: Latency, max: usize| {
            let program = |width| {
                let program = FakeProgram::new(rows(width)).latency(latency);
                Arc::new(program.batch_sizes(BatchSizes::UpTo(max))) as Arc<dyn Program>
            };
            [program(64), program(48)]
        };
        let tokens = |tokens| encoder_layer(256, 4, 1024, tokens);
        let speech = |length| Speech { in_channels: 80, hidden: 256, out_features: 80 }.with_length(length);
        let channels = [80, 128, 128, 128];
        match name {
            "sleeping" => Self::of(name, 4, 64, fake(Latency::sleep_table(&SLEEPING), 64)),
            "busy" => Self::of(name, lanes, 128, fake(Latency::busy_table(&BUSY), 128)),
            "mlp" => Self::compiled(name, lanes, perceptron(512, 1024, 512), perceptron(384, 1024, 512)),
            "conv1d" => {
                Self::compiled(name, lanes, convolutions(&channels, 100), convolutions(&channels, 80))
            }
            "tlayer" => Self::compiled(name, lanes, tokens(32), tokens(24)),
            "speech" => Self::compiled(name, lanes, speech(64), speech(48)),
            _ => bail!("there is no subject '{name}'; the subjects are {}", NAMES.join(", ")),
        }
    }

    fn compiled(
        name: &str,
        lanes: usize,
        a: impl Network + 'static,
        b: impl Network + 'static,
    ) -> Result<Self> {
        let device = CpuDevice::new();
        let mut options = CompileOptions::default();
        options.max_batch = 128;
        let program = |layers: Layers| -> Result<Arc<dyn Program>> {
            let graph: Graph = layers.graph_with(&StateDict::random(layers.network(), 7))?;
            Ok(device.compile(&graph, &options)?)
        };
        let programs = [program(Layers::new(name, "", a))?, program(Layers::new(name, "", b))?];
        Self::of(name, lanes, options.max_batch, programs)
    }

    fn of(name: &str, lanes: usize, max_batch: usize, programs: [Arc<dyn Program>; 2]) -> Result<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut tensors = |program: &Arc<dyn Program>, samples: usize| -> Result<Vec<Tensor>> {
            let port = &program.signature().inputs[0];
            let shape: Vec<usize> = [samples].into_iter().chain(port.shape.iter().copied()).collect();
            let mut values = || -> Vec<f32> {
                (0..samples * port.elements).map(|_| random.random_range(-1.0..1.0)).collect()
            };
            (0..VARIETY).map(|_| Ok(Tensor::new(shape.clone(), values())?)).collect()
        };
        let mut both = |program| Ok::<_, anyhow::Error>((tensors(program, 1)?, tensors(program, LARGE)?));
        let inputs = [both(&programs[0])?, both(&programs[1])?];
        let input = programs[0].signature().inputs[0].name.clone();
        Ok(Subject {
            name: name.into(),
            lanes,
            core_to_spare: lanes < cores(),
            max_batch,
            programs,
            inputs,
            input,
        })
    }

    /// The name of the input.
    pub fn input_name(&self) -> &str {
        &self.input
    }

    /// Input number `index`, counted around the end, with 1 or [`LARGE`] samples.
    pub fn input(&self, shape: usize, samples: usize, index: usize) -> &Tensor {
        let (single, large) = &self.inputs[shape];
        let inputs = if samples == 1 { single } else { large };
        &inputs[index % VARIETY]
    }

    /// An engine that serves the first `shapes` shapes, with its costs measured.
    pub fn serve(&self, shapes: usize) -> Result<Model> {
        let engine = Engine::builder().lanes(self.lanes).queue_samples(1 << 20).build()?;
        let programs = self.programs[..shapes].to_vec();
        let options = LoadOptions::new().warm_up(Duration::from_millis(300));
        engine.load_with(&*self.name, programs, options).context("the engine takes the programs")
    }
}
