//! Models made to exhaust memory or time are errors, or are read in no time.

use paceline_onnx::{BatchAxis, ImportOptions, OnnxError, read_bytes};

/// Nodes, names and the like of one model: enough that what takes the square of it would never end.
const MANY: usize = 100_000;

/// A protobuf message under construction.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn int(self, field: u64, value: i64) -> Self {
        self.varint(field << 3).varint(value as u64)
    }

    fn bytes(self, field: u64, content: &[u8]) -> Self {
        let mut message = self.varint(field << 3 | 2).varint(content.len() as u64);
        message.0.extend(content);
        message
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }

    fn all(self, field: u64, messages: impl IntoIterator<Item = Message>) -> Self {
        messages.into_iter().fold(self, |whole, message| whole.message(field, &message))
    }
}

fn node(operator: &str, name: &str, input: &str, output: &str) -> Message {
    Message::default().text(1, input).text(2, output).text(3, name).text(4, operator)
}

/// An input or output f32[2, 3].
fn port(name: &str) -> Message {
    let dims = [2, 3].map(|length| Message::default().int(1, length));
    let tensor = Message::default().int(1, 1).message(2, &Message::default().all(1, dims));
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}

fn opset(domain: &str, version: i64) -> Message {
    Message::default().text(1, domain).int(2, version)
}

fn graph(nodes: impl IntoIterator<Item = Message>, inputs: &[&str], outputs: &[&str]) -> Message {
    let ports = |names: &[&str]| names.iter().map(|name| port(name)).collect::<Vec<_>>();
    Message::default().all(1, nodes).all(11, ports(inputs)).all(12, ports(outputs))
}

fn model(graph: &Message) -> Message {
    Message::default().int(1, 9).all(8, [opset("", 20), opset("own", 1)]).message(7, graph)
}

fn read(model: &Message) -> Result<paceline_onnx::Imported, OnnxError> {
    read_bytes(model.0.clone(), &ImportOptions::default())
}

#[track_caller]
fn assert_bound(model: &Message, options: &ImportOptions, what: &str) {
    match read_bytes(model.0.clone(), options) {
        Err(OnnxError::Bound { what: got, .. }) => assert!(got.contains(what), "expected {what}, got {got}"),
        Err(other) => panic!("expected a bound of {what}, got {other}"),
        Ok(_) => panic!("expected a bound of {what}, got a graph"),
    }
}

/// `v0` to `v1` and so on, with nodes named by `name`.
fn chain(operator: impl Fn(usize) -> String, name: impl Fn(usize) -> String, count: usize) -> Message {
    let nodes = (0..count).map(|i| node(&operator(i), &name(i), &format!("v{i}"), &format!("v{}", i + 1)));
    graph(nodes, &["v0"], &[&format!("v{count}")])
}

#[test]
fn nodes_of_one_name_are_told_apart() {
    let imported = read(&model(&chain(|_| "Relu".into(), |_| "same".into(), MANY))).unwrap();
    assert_eq!(imported.graph.nodes().len(), MANY);
    assert_eq!(imported.graph.nodes()[2].name, "same.2");
}

#[track_caller]
fn unsupported(model: &Message) -> Vec<paceline_onnx::UnsupportedOperator> {
    match read(model) {
        Err(OnnxError::Unsupported(operators)) => operators,
        Err(other) => panic!("expected unsupported operators, got {other}"),
        Ok(_) => panic!("expected unsupported operators, got a graph"),
    }
}

#[test]
fn every_operator_that_is_not_supported_is_listed_once() {
    // Each has its own name, and takes what another makes that nobody knows.
    let made = model(&chain(|i| format!("Secret{i}"), |_| "n".into(), MANY));
    assert_eq!(unsupported(&made).len(), MANY);
    // One operator, and as many inputs that would have to be known.
    let nodes = (0..MANY).map(|i| {
        Message::default().text(1, "x").text(1, &format!("v{i}")).text(2, &format!("y{i}")).text(4, "Expand")
    });
    let names: Vec<String> = (0..MANY).map(|i| format!("v{i}")).collect();
    let inputs: Vec<&str> = ["x"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let outputs: Vec<String> = (0..MANY).map(|i| format!("y{i}")).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let made = model(&graph(nodes, &inputs, &outputs));
    let operators = unsupported(&made);
    assert_eq!((operators.len(), operators[0].unknown.len()), (1, MANY));
}

#[test]
fn many_inputs_and_outputs_are_read() {
    let names: Vec<String> = (0..MANY).map(|i| format!("x{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let nodes = (0..MANY).map(|i| node("Relu", "", &format!("x{i}"), &format!("y{i}")));
    let outputs: Vec<String> = (0..MANY).map(|i| format!("y{i}")).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    assert_eq!(read(&model(&graph(nodes, &names, &outputs))).unwrap().graph.inputs().len(), MANY);
}

/// A function `own.F` of these nodes, and a graph that calls it so often, each call with the same attribute.
fn calls(nodes: Vec<Message>, count: usize, attribute: Option<Message>) -> Message {
    let function = Message::default().text(1, "F").text(4, "x").text(5, "y").all(7, nodes);
    let function = function.message(9, &opset("", 20)).text(10, "own");
    let call = |i: usize| {
        let call = node("F", "", &format!("v{i}"), &format!("v{}", i + 1)).text(7, "own");
        call.all(5, attribute.clone())
    };
    model(&graph((0..count).map(call), &["v0"], &[&format!("v{count}")])).message(25, &function)
}

#[test]
fn what_functions_stand_for_is_counted_though_it_is_not_needed() {
    let options = ImportOptions::default().known_bytes(64 << 20);
    let spare = (0..20_000).map(|i| node("Relu", "", "x", &format!("spare{i}")));
    let nodes = [node("Relu", "", "x", "y")].into_iter().chain(spare).collect();
    assert_bound(&calls(nodes, 20_000, None), &options, "computed while it is read");
    // Attributes are copied, names are kept.
    let long = Message::default().text(1, "a").bytes(8, &[1; 1 << 20]).int(20, 7);
    let passed = Message::default().text(1, "alpha").text(21, "a");
    let nodes = vec![node("Relu", "", "x", "y").message(5, &passed)];
    assert_bound(&calls(nodes, 20, Some(long)), &options, "computed while it is read");
    let nodes = vec![node("Relu", &"long".repeat(1 << 16), "x", "y")];
    assert_bound(&calls(nodes, 20_000, None), &options, "computed while it is read");
}

#[test]
fn what_is_computed_when_a_model_is_read_is_bounded_in_all() {
    let element = Message::default().int(1, 1).int(2, 1).bytes(9, &7f32.to_le_bytes());
    let value = Message::default().text(1, "value").message(5, &element).int(20, 4);
    let names: Vec<String> = (0..64).map(|i| format!("c{i}")).collect();
    let nodes = names.iter().map(|name| node("ConstantOfShape", "", "shape", name).message(5, &value));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let constants = graph(nodes, &["x"], &names);
    let made = |length: i64| {
        let shape = Message::default().int(1, 1).int(2, 7).text(8, "shape").bytes(9, &length.to_le_bytes());
        model(&constants.clone().message(5, &shape))
    };
    let options = ImportOptions::default().batch(BatchAxis::None).known_bytes(16 << 20);
    assert_eq!(read_bytes(made(16 << 10).0, &options).unwrap().graph.outputs().len(), 64);
    assert_bound(&made(1 << 20), &options, "computed while it is read");
    assert_bound(&made(1 << 26), &options, "computed while it is read");
}

#[test]
fn more_axes_or_operator_sets_than_there_are_is_an_error() {
    let many = Message::default().all(8, (0..1000).map(|i| opset(&format!("d{i}"), 1)));
    let plain = graph([node("Relu", "", "x", "y")], &["x"], &["y"]);
    assert_bound(&many.message(7, &plain), &ImportOptions::default(), "operator sets");
    let dims = (0..100).map(|_| Message::default().int(1, 1));
    let tensor = Message::default().int(1, 1).message(2, &Message::default().all(1, dims));
    let wide = Message::default().text(1, "x").message(2, &Message::default().message(1, &tensor));
    let made =
        Message::default().all(1, [node("Relu", "", "x", "y")]).message(11, &wide).message(12, &port("y"));
    assert_bound(&model(&made), &ImportOptions::default(), "axes");
    let constant = (0..100).fold(Message::default(), |tensor, _| tensor.int(1, 1));
    let constant = constant.int(2, 1).text(8, "c").bytes(9, &[0; 4]);
    let made = graph([node("Relu", "", "c", "y")], &["x"], &["y"]).message(5, &constant);
    assert!(matches!(read(&model(&made)), Err(OnnxError::Tensor { .. })));
}
