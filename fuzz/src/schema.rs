//! The part of ONNX's schema that Paceline reads. Source: onnx.proto.

/// Kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "ONNX documents its messages")]
pub enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Function,
    Value,
    Type,
    TensorType,
    Shape,
    Dim,
    OperatorSet,
    Entry,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A whole number.
    Int,
    /// Four bytes.
    Float,
    /// A name.
    Text,
    /// Anything.
    Bytes,
    /// Whole numbers, packed.
    Ints,
    /// Numbers of four bytes, packed.
    Floats,
    /// A message.
    Message(Kind),
}

impl Kind {
    /// The fields by number.
    pub fn fields(self) -> &'static [(u64, Form)] {
        use Form::{Bytes, Float, Floats, Int, Ints, Message, Text};
        match self {
            Kind::Model => &[
                (1, Int),
                (7, Message(Kind::Graph)),
                (8, Message(Kind::OperatorSet)),
                (25, Message(Kind::Function)),
            ],
            Kind::Graph => &[
                (1, Message(Kind::Node)),
                (2, Text),
                (5, Message(Kind::Tensor)),
                (11, Message(Kind::Value)),
                (12, Message(Kind::Value)),
            ],
            Kind::Node => {
                &[(1, Text), (2, Text), (3, Text), (4, Text), (5, Message(Kind::Attribute)), (7, Text)]
            }
            Kind::Attribute => &[
                (1, Text),
                (2, Float),
                (3, Int),
                (4, Bytes),
                (5, Message(Kind::Tensor)),
                (6, Message(Kind::Graph)),
                (7, Floats),
                (8, Ints),
                (9, Bytes),
                (20, Int),
                (21, Text),
            ],
            Kind::Tensor => &[
                (1, Ints),
                (2, Int),
                (4, Floats),
                (5, Ints),
                (7, Ints),
                (8, Text),
                (9, Bytes),
                (11, Ints),
                (13, Message(Kind::Entry)),
                (14, Int),
            ],
            Kind::Function => &[
                (1, Text),
                (4, Text),
                (5, Text),
                (6, Text),
                (7, Message(Kind::Node)),
                (9, Message(Kind::OperatorSet)),
                (10, Text),
                (11, Message(Kind::Attribute)),
            ],
            Kind::Value => &[(1, Text), (2, Message(Kind::Type))],
            Kind::Type => &[(1, Message(Kind::TensorType))],
            Kind::TensorType => &[(1, Int), (2, Message(Kind::Shape))],
            Kind::Shape => &[(1, Message(Kind::Dim))],
            Kind::Dim => &[(1, Int), (2, Text)],
            Kind::OperatorSet => &[(1, Text), (2, Int)],
            Kind::Entry => &[(1, Text), (2, Text)],
        }
    }

    /// What a field holds; `None` for one that is not read.
    pub fn form(self, number: u64) -> Option<Form> {
        self.fields().iter().find(|(own, _)| *own == number).map(|(_, form)| *form)
    }
}
