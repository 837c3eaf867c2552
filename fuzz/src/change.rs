//! Changes of a model that leave it a model.

use rand::seq::{IndexedMutRandom, IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::schema::{Form, Kind};
use crate::tree::{Content, Message, packed, unpacked};
use crate::words::{ATTRIBUTES, OPERATORS, VALUES};

/// Changes made at once.
const MOST_CHANGES: usize = 4;
/// Times that a change is tried, as some do not apply.
const TRIES: usize = 32;

/// A model with a few changes, of at most so many bytes; `None` where it is no model, or no change applies.
pub fn mutated(bytes: &[u8], seed: u64, most: usize) -> Option<Vec<u8>> {
    let model = Message::read(bytes, Kind::Model)?;
    let mut change = Change::new(seed);
    finished(&model, most, |model| {
        let count = change.rng.random_range(1..=MOST_CHANGES);
        (0..count).filter(|_| change.apply(model)).count() > 0
    })
}

/// A model with a part of another in it; as [`mutated`] otherwise.
pub fn crossed(one: &[u8], other: &[u8], seed: u64, most: usize) -> Option<Vec<u8>> {
    let (model, other) = (Message::read(one, Kind::Model)?, Message::read(other, Kind::Model)?);
    let mut change = Change::new(seed);
    finished(&model, most, |model| {
        let parts = other.all();
        let part = *parts.choose(&mut change.rng).expect("the model itself is one");
        change.graft(model, part)
    })
}

fn finished(model: &Message, most: usize, mut change: impl FnMut(&mut Message) -> bool) -> Option<Vec<u8>> {
    (0..TRIES).find_map(|_| {
        let mut changed = model.clone();
        if !change(&mut changed) {
            return None;
        }
        let bytes = changed.bytes();
        (bytes.len() <= most).then_some(bytes)
    })
}

struct Change {
    rng: ChaCha8Rng,
}

impl Change {
    fn new(seed: u64) -> Self {
        Change { rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// One change; whether there was one.
    fn apply(&mut self, model: &mut Message) -> bool {
        match self.rng.random_range(0..10) {
            0 => self.repeat(model),
            1 => self.remove(model),
            2 => self.swap(model),
            3 => {
                let part = {
                    let parts = model.all();
                    (*parts.choose(&mut self.rng).expect("the model itself is one")).clone()
                };
                self.graft(model, &part)
            }
            4 => self.insert_node(model),
            5 => self.insert_attribute(model),
            6 => self.rewire(model),
            _ => self.alter(model),
        }
    }

    /// A message that has fields.
    fn any<'m>(&mut self, model: &'m mut Message) -> Option<&'m mut Message> {
        let count = model.all().len();
        let place = self.rng.random_range(0..count);
        model.at(place).filter(|message| !message.fields.is_empty())
    }

    fn of<'m>(&mut self, model: &'m mut Message, kind: Kind) -> Option<&'m mut Message> {
        let places: Vec<usize> =
            model.all().iter().enumerate().filter(|(_, m)| m.kind == kind).map(|(place, _)| place).collect();
        let place = *places.choose(&mut self.rng)?;
        model.at(place)
    }

    fn repeat(&mut self, model: &mut Message) -> bool {
        let Some(message) = self.any(model) else { return false };
        let from = self.rng.random_range(0..message.fields.len());
        let to = self.rng.random_range(0..=message.fields.len());
        let field = message.fields[from].clone();
        message.fields.insert(to, field);
        true
    }

    fn remove(&mut self, model: &mut Message) -> bool {
        let Some(message) = self.any(model) else { return false };
        let at = self.rng.random_range(0..message.fields.len());
        message.fields.remove(at);
        true
    }

    fn swap(&mut self, model: &mut Message) -> bool {
        let Some(message) = self.any(model) else { return false };
        if self.rng.random_ratio(1, 4) {
            message.fields.shuffle(&mut self.rng);
        } else {
            let (a, b) = (
                self.rng.random_range(0..message.fields.len()),
                self.rng.random_range(0..message.fields.len()),
            );
            message.fields.swap(a, b);
        }
        true
    }

    /// A part in the place of one of its kind.
    fn graft(&mut self, model: &mut Message, part: &Message) -> bool {
        let Some(place) = self.of(model, part.kind) else { return false };
        *place = part.clone();
        true
    }

    fn name(&mut self, model: &Message) -> Option<Vec<u8>> {
        let mut names: Vec<&[u8]> = Vec::new();
        for message in model.all() {
            match message.kind {
                Kind::Node => names.extend(message.texts(1).chain(message.texts(2))),
                Kind::Value => names.extend(message.texts(1)),
                Kind::Tensor => names.extend(message.texts(8)),
                _ => {}
            }
        }
        names.choose(&mut self.rng).map(|name| name.to_vec())
    }

    /// A new node among the others, whose result is used by a node after it or is an output.
    fn insert_node(&mut self, model: &mut Message) -> bool {
        let operator = OPERATORS.choose(&mut self.rng).expect("there are some");
        let fresh = format!("f{}", self.rng.random::<u32>());
        let mut fields = vec![(4, Content::text(operator)), (2, Content::text(&fresh))];
        for _ in 0..self.rng.random_range(1..=3) {
            let Some(name) = self.name(model) else { return false };
            fields.push((1, Content::Bytes(name)));
        }
        for _ in 0..self.rng.random_range(0..=2) {
            fields.push((5, Content::Message(self.attribute())));
        }
        let node = Message { kind: Kind::Node, fields };
        let Some(graph) = self.of(model, Kind::Graph) else { return false };
        let nodes: Vec<usize> = (0..graph.fields.len()).filter(|&at| graph.fields[at].0 == 1).collect();
        let at = nodes.choose(&mut self.rng).copied().unwrap_or(0);
        graph.fields.insert(at, (1, Content::Message(node)));
        let later = nodes.iter().filter(|&&node| node >= at).count();
        if later > 0 && self.rng.random_ratio(3, 4) {
            let skip = self.rng.random_range(0..later);
            let rest = &mut graph.fields[at + 1..];
            let user = rest.iter_mut().filter(|(number, _)| *number == 1).nth(skip);
            if let Some((_, Content::Message(user))) = user {
                let mut inputs: Vec<&mut Content> = user
                    .fields
                    .iter_mut()
                    .filter(|(number, _)| *number == 1)
                    .map(|(_, content)| content)
                    .collect();
                if let Some(input) = inputs.choose_mut(&mut self.rng) {
                    **input = Content::text(&fresh);
                }
            }
        } else if let Some(output) = graph.messages_mut(12).next() {
            output.fields.retain(|(number, _)| *number != 1);
            output.fields.push((1, Content::text(&fresh)));
        }
        true
    }

    fn attribute(&mut self) -> Message {
        let (name, form) = *ATTRIBUTES.choose(&mut self.rng).expect("there are some");
        let mut fields = vec![(1, Content::text(name))];
        let (number, content, ty) = match form {
            Form::Float => (2, Content::Four(self.float().to_le_bytes()), 1),
            Form::Ints => {
                let ints: Vec<u64> = (0..self.rng.random_range(0..5)).map(|_| self.int(1)).collect();
                (8, Content::Bytes(packed(&ints)), 7)
            }
            Form::Floats => {
                let count = self.rng.random_range(0..4);
                (7, Content::Bytes((0..count).flat_map(|_| self.float().to_le_bytes()).collect()), 6)
            }
            Form::Bytes => (4, Content::text(VALUES.choose(&mut self.rng).expect("there are some")), 3),
            _ => (3, Content::Int(self.int(1)), 2),
        };
        fields.extend([(number, content), (20, Content::Int(ty))]);
        Message { kind: Kind::Attribute, fields }
    }

    fn insert_attribute(&mut self, model: &mut Message) -> bool {
        let attribute = self.attribute();
        let Some(node) = self.of(model, Kind::Node) else { return false };
        let name = attribute.texts(1).next().map(<[u8]>::to_vec);
        node.fields.retain(|(_, content)| match content {
            Content::Message(other) => other.texts(1).next() != name.as_deref(),
            _ => true,
        });
        node.fields.push((5, Content::Message(attribute)));
        true
    }

    /// Another name as input of a node or as output of the graph.
    fn rewire(&mut self, model: &mut Message) -> bool {
        let Some(name) = self.name(model) else { return false };
        let kind = *[Kind::Node, Kind::Node, Kind::Node, Kind::Value, Kind::Tensor]
            .choose(&mut self.rng)
            .expect("five");
        let number = if kind == Kind::Tensor { 8 } else { 1 };
        let Some(message) = self.of(model, kind) else { return false };
        let mut names: Vec<&mut Content> =
            message.fields.iter_mut().filter(|(own, _)| *own == number).map(|(_, content)| content).collect();
        match names.choose_mut(&mut self.rng) {
            Some(place) => **place = Content::Bytes(name),
            None => message.fields.push((number, Content::Bytes(name))),
        }
        true
    }

    /// Another value of a field that is no message.
    fn alter(&mut self, model: &mut Message) -> bool {
        let name = self.name(model);
        let Some(message) = self.any(model) else { return false };
        let kind = message.kind;
        let at = self.rng.random_range(0..message.fields.len());
        let (number, content) = &mut message.fields[at];
        let form = kind.form(*number);
        match content {
            Content::Int(int) => *int = self.int(*int),
            Content::Four(four) => *four = self.float().to_le_bytes(),
            Content::Eight(eight) => self.rng.fill(&mut eight[..]),
            Content::Bytes(bytes) => match (kind, *number, form) {
                (Kind::Node, 4, _) => {
                    *bytes = OPERATORS.choose(&mut self.rng).expect("there are some").as_bytes().to_vec();
                }
                (Kind::Attribute, 4 | 9, _) => {
                    *bytes = VALUES.choose(&mut self.rng).expect("there are some").as_bytes().to_vec();
                }
                (Kind::Attribute, 1 | 21, _) => {
                    *bytes = ATTRIBUTES.choose(&mut self.rng).expect("there are some").0.as_bytes().to_vec();
                }
                (_, _, Some(Form::Ints)) => self.alter_ints(bytes),
                (_, _, Some(Form::Text)) => match name {
                    Some(name) => *bytes = name,
                    None => return false,
                },
                _ => self.alter_bytes(bytes),
            },
            Content::Message(_) => return false,
        }
        true
    }

    fn alter_ints(&mut self, bytes: &mut Vec<u8>) {
        let mut ints = unpacked(bytes);
        match self.rng.random_range(0..4) {
            0 => {
                ints.pop();
            }
            1 => {
                let at = self.rng.random_range(0..=ints.len());
                let int = self.int(1);
                ints.insert(at, int);
            }
            _ => match ints.choose(&mut self.rng).copied() {
                Some(int) => {
                    let at = self.rng.random_range(0..ints.len());
                    ints[at] = self.int(int);
                }
                None => ints.push(1),
            },
        }
        *bytes = packed(&ints);
    }

    /// Data: as a list of i64 or f32 as often as of bytes, as most tensors that say how to compute are.
    fn alter_bytes(&mut self, bytes: &mut Vec<u8>) {
        let wide = *[1, 4, 8].choose(&mut self.rng).expect("three");
        if bytes.len() < wide || self.rng.random_ratio(1, 8) {
            let length = *[0, 1, 4, 8, 16, 64].choose(&mut self.rng).expect("six");
            bytes.resize(length, 1);
            return;
        }
        let at = self.rng.random_range(0..bytes.len() / wide) * wide;
        let place = &mut bytes[at..at + wide];
        match wide {
            8 => {
                let int = u64::from_le_bytes((&*place).try_into().expect("eight"));
                place.copy_from_slice(&self.int(int).to_le_bytes());
            }
            4 => place.copy_from_slice(&self.float().to_le_bytes()),
            _ => place[0] = self.rng.random(),
        }
    }

    /// A whole number near another, or one that is at a limit.
    fn int(&mut self, near: u64) -> u64 {
        let small = self.rng.random_range(-4i64..=8);
        match self.rng.random_range(0..8) {
            0 => near.wrapping_add(1),
            1 => near.wrapping_sub(1),
            2..=4 => small as u64,
            5 => self.rng.random_range(0..300),
            6 => 1u64 << self.rng.random_range(0..64),
            _ => *[
                i64::MAX as u64,
                i64::MIN as u64,
                u64::MAX,
                i32::MAX as u64,
                1 << 32,
                (1 << 31) + 1,
                u64::from(u32::MAX),
                i64::MAX as u64 / 2 + 1,
            ]
            .choose(&mut self.rng)
            .expect("eight"),
        }
    }

    fn float(&mut self) -> f32 {
        let any = f32::from_bits(self.rng.random());
        *[
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            2.0,
            1e30,
            1e-30,
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
            any,
        ]
        .choose(&mut self.rng)
        .expect("thirteen")
    }
}
