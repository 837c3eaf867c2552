//! Writes models to begin with: `onnx_seeds CASES TO`.
//!
//! CASES is what `cargo xtask onnx-conformance` leaves in target/onnx-cases: of each case the model, and the model with small inputs
//! as constants, as many operators need to know them. With them go random graphs, as Paceline writes them.

use std::error::Error;
use std::fs;
use std::path::Path;

use paceline_fuzz::{Content, Kind, Message};
use paceline_graph::testing::random_graph;
use paceline_onnx::to_bytes;

/// Larger models are left out.
const MOST_BYTES: usize = 4 << 10;
/// Larger inputs are no constants.
const MOST_INPUT_BYTES: usize = 128;
/// Random graphs.
const GRAPHS: u64 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [cases, to] = &arguments[..] else { return Err("usage: onnx_seeds CASES TO".into()) };
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(cases)? {
        let directory = entry?.path();
        let Ok(bytes) = fs::read(directory.join("model.onnx")) else { continue };
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if bytes.len() > MOST_BYTES {
            continue;
        }
        fs::write(Path::new(to).join(&name), &bytes)?;
        if let Some(known) = with_known_inputs(&bytes, &directory.join("test_data_set_0")) {
            fs::write(Path::new(to).join(format!("{name}.known")), known)?;
        }
    }
    for seed in 0..GRAPHS {
        let nodes = 1 + seed as usize % 12;
        if let Ok(bytes) = to_bytes(&random_graph(seed, nodes)) {
            fs::write(Path::new(to).join(format!("graph-{seed}")), bytes)?;
        }
    }
    Ok(())
}

/// The model with every small input but the first as a constant.
fn with_known_inputs(model: &[u8], data: &Path) -> Option<Vec<u8>> {
    let mut model = Message::read(model, Kind::Model)?;
    let graph = model.messages_mut(7).next()?;
    let mut known = false;
    for index in 1.. {
        let Ok(tensor) = fs::read(data.join(format!("input_{index}.pb"))) else { break };
        if tensor.len() <= MOST_INPUT_BYTES {
            graph.fields.push((5, Content::Message(Message::read(&tensor, Kind::Tensor)?)));
            known = true;
        }
    }
    known.then(|| model.bytes())
}
