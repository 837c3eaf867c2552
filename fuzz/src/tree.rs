//! A protobuf message as a tree. Source: protobuf.dev, "Encoding".

use crate::schema::{Form, Kind};

/// Deeper messages are left as bytes.
const DEEPEST: usize = 40;

/// A message: its fields in order.
#[derive(Clone, Debug)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Numbers and contents.
    pub fields: Vec<(u64, Content)>,
}

/// What a field holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// A whole number.
    Int(u64),
    /// Four bytes.
    Four([u8; 4]),
    /// Eight bytes.
    Eight([u8; 8]),
    /// Text, data, packed numbers.
    Bytes(Vec<u8>),
    /// A message.
    Message(Message),
}

impl Content {
    /// A name.
    pub fn text(text: &str) -> Self {
        Content::Bytes(text.as_bytes().to_vec())
    }
}

impl Message {
    /// Reads a message; `None` where it is none.
    pub fn read(bytes: &[u8], kind: Kind) -> Option<Self> {
        Self::within(bytes, kind, 0)
    }

    fn within(mut bytes: &[u8], kind: Kind, depth: usize) -> Option<Self> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let number = key >> 3;
            let content = match key & 7 {
                0 => Content::Int(varint(&mut bytes)?),
                1 => Content::Eight(take(&mut bytes, 8)?.try_into().ok()?),
                5 => Content::Four(take(&mut bytes, 4)?.try_into().ok()?),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)?).ok()?;
                    let content = take(&mut bytes, length)?;
                    let inner = match kind.form(number) {
                        Some(Form::Message(inner)) if depth < DEEPEST => {
                            Self::within(content, inner, depth + 1)
                        }
                        _ => None,
                    };
                    inner.map_or_else(|| Content::Bytes(content.to_vec()), Content::Message)
                }
                _ => return None,
            };
            fields.push((number, content));
        }
        Some(Message { kind, fields })
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, content) in &self.fields {
            let mut whole = |wire: u64, content: &[u8]| {
                put(&mut bytes, number << 3 | wire);
                if wire == 2 {
                    put(&mut bytes, content.len() as u64);
                }
                bytes.extend(content);
            };
            match content {
                Content::Int(int) => {
                    let mut varint = Vec::new();
                    put(&mut varint, *int);
                    whole(0, &varint);
                }
                Content::Four(four) => whole(5, four),
                Content::Eight(eight) => whole(1, eight),
                Content::Bytes(content) => whole(2, content),
                Content::Message(message) => whole(2, &message.bytes()),
            }
        }
        bytes
    }

    /// Every message in it, itself the first.
    pub fn all(&self) -> Vec<&Message> {
        let mut all = vec![self];
        for (_, content) in &self.fields {
            if let Content::Message(message) = content {
                all.extend(message.all());
            }
        }
        all
    }

    /// The message at a place of [`all`](Self::all).
    pub fn at(&mut self, place: usize) -> Option<&mut Message> {
        self.find(&mut { place })
    }

    fn find(&mut self, left: &mut usize) -> Option<&mut Message> {
        if *left == 0 {
            return Some(self);
        }
        *left -= 1;
        self.fields.iter_mut().find_map(|(_, content)| match content {
            Content::Message(message) => message.find(left),
            _ => None,
        })
    }

    /// The texts of a field.
    pub fn texts(&self, number: u64) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter_map(move |(own, content)| match content {
            Content::Bytes(text) if *own == number => Some(&text[..]),
            _ => None,
        })
    }

    /// The messages of a field.
    pub fn messages_mut(&mut self, number: u64) -> impl Iterator<Item = &mut Message> {
        self.fields.iter_mut().filter_map(move |(own, content)| match content {
            Content::Message(message) if *own == number => Some(message),
            _ => None,
        })
    }
}

/// Packed whole numbers.
pub fn unpacked(mut bytes: &[u8]) -> Vec<u64> {
    std::iter::from_fn(|| if bytes.is_empty() { None } else { varint(&mut bytes) }).collect()
}

/// Whole numbers, packed.
pub fn packed(ints: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ints.iter().for_each(|&int| put(&mut bytes, int));
    bytes
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}
