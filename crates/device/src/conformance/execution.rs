//! One execution with its buffers: inputs cut out of larger tensors and misaligned, outputs filled with a pattern that no
//! result has, everything between margins.

use std::ops::Range;

use paceline_graph::{DType, Data, Tensor};

use crate::{Batch, Part, Port, Session, Signature, View, ViewMut, execute};

/// Elements before and after every buffer. Odd, so that a buffer begins off every vector's boundary.
const MARGIN: usize = 19;

/// What outputs hold before an execution. A NaN that no arithmetic makes, so that an element left alone is noticed.
const UNWRITTEN_F32: f32 = f32::from_bits(0x7fed_cba9);
const UNWRITTEN_I64: i64 = -0x0123_4567_89ab_cdef;

/// Samples of one part: a range of those of the example.
pub(super) type Span = Range<usize>;

/// The buffers of one execution.
pub(super) struct Execution {
    parts: Vec<Buffers>,
}

struct Buffers {
    samples: usize,
    inputs: Vec<Guarded>,
    outputs: Vec<Guarded>,
}

/// Elements between two margins.
#[derive(Clone)]
struct Guarded {
    data: Data,
    len: usize,
    unwritten_bool: bool,
}

impl Execution {
    /// One part a span, its samples taken from `inputs`. Boolean outputs, whose every pattern is a result, are filled with
    /// `unwritten_bool`: a device must be tried with both.
    pub(super) fn new(
        signature: &Signature,
        inputs: &[Tensor],
        spans: &[Span],
        unwritten_bool: bool,
    ) -> Self {
        let of = |span: &Span| Buffers {
            samples: span.len(),
            inputs: (signature.inputs.iter().zip(inputs))
                .map(|(port, tensor)| {
                    Guarded::holding(rows(View::of(tensor.data()), port, span), unwritten_bool)
                })
                .collect(),
            outputs: (signature.outputs.iter())
                .map(|port| Guarded::unwritten(port.dtype, port.elements * span.len(), unwritten_bool))
                .collect(),
        };
        Execution { parts: spans.iter().map(of).collect() }
    }

    /// The parts, to make a batch of, or to spoil first.
    pub(super) fn parts(&mut self) -> Vec<Part<'_>> {
        self.parts.iter_mut().map(Buffers::part).collect()
    }

    /// All parts as one batch.
    pub(super) fn batch(&mut self) -> Batch<'_> {
        let mut batch = Batch::new();
        self.parts().into_iter().for_each(|part| batch.push(part));
        batch
    }

    /// Executes the batch on `session`.
    pub(super) fn run(
        mut self,
        session: &mut dyn Session,
        signature: &Signature,
    ) -> Result<Vec<Vec<Data>>, String> {
        execute(session, &mut self.batch()).map_err(|error| format!("the execution failed: {error}"))?;
        self.results(signature)
    }

    /// For each part, its outputs; or which element was left alone, or that a margin was not.
    pub(super) fn results(self, signature: &Signature) -> Result<Vec<Vec<Data>>, String> {
        for (index, part) in self.parts.iter().enumerate() {
            for (port, output) in signature.outputs.iter().zip(&part.outputs) {
                let name = &port.name;
                if !output.margins_are_intact() {
                    return Err(format!("output '{name}' of part {index}: something was written next to it"));
                }
                if let Some(element) = output.first_unwritten() {
                    return Err(format!(
                        "output '{name}' of part {index}: element {element} was not written"
                    ));
                }
            }
        }
        Ok(self
            .parts
            .into_iter()
            .map(|part| part.outputs.into_iter().map(Guarded::into_data).collect())
            .collect())
    }

    /// Whether no output was touched.
    pub(super) fn is_untouched(&self) -> bool {
        self.parts.iter().flat_map(|part| &part.outputs).all(|output| {
            let unwritten = Guarded::unwritten(output.data.dtype(), output.len, output.unwritten_bool);
            same_bits(&output.data, &unwritten.data)
        })
    }
}

impl Buffers {
    fn part(&mut self) -> Part<'_> {
        Part {
            samples: self.samples,
            inputs: self.inputs.iter().map(Guarded::view).collect(),
            outputs: self.outputs.iter_mut().map(Guarded::view_mut).collect(),
        }
    }
}

/// The elements of the samples of `span`.
pub(super) fn rows<'a>(all: View<'a>, port: &Port, span: &Span) -> View<'a> {
    all.slice(span.start * port.elements, span.end * port.elements)
}

impl Guarded {
    /// Elements of an input, the margins full of what must not be read.
    fn holding(view: View<'_>, unwritten_bool: bool) -> Self {
        let data = match view {
            View::F32(v) => Data::F32(surrounded(v, f32::NAN)),
            View::I64(v) => Data::I64(surrounded(v, i64::MIN)),
            View::Bool(v) => Data::Bool(surrounded(v, unwritten_bool)),
        };
        Guarded { data, len: view.len(), unwritten_bool }
    }

    fn unwritten(dtype: DType, len: usize, unwritten_bool: bool) -> Self {
        let full = len + 2 * MARGIN;
        let data = match dtype {
            DType::F32 => Data::F32(vec![UNWRITTEN_F32; full]),
            DType::I64 => Data::I64(vec![UNWRITTEN_I64; full]),
            DType::Bool => Data::Bool(vec![unwritten_bool; full]),
            other => unreachable!("{other} tensors have no view"),
        };
        Guarded { data, len, unwritten_bool }
    }

    fn view(&self) -> View<'_> {
        View::of(&self.data).slice(MARGIN, MARGIN + self.len)
    }

    fn view_mut(&mut self) -> ViewMut<'_> {
        let inner = MARGIN..MARGIN + self.len;
        match &mut self.data {
            Data::F32(v) => ViewMut::F32(&mut v[inner]),
            Data::I64(v) => ViewMut::I64(&mut v[inner]),
            Data::Bool(v) => ViewMut::Bool(&mut v[inner]),
            other => unreachable!("{} tensors have no view", other.dtype()),
        }
    }

    fn is_unwritten(&self, index: usize) -> bool {
        match &self.data {
            Data::F32(v) => v[index].to_bits() == UNWRITTEN_F32.to_bits(),
            Data::I64(v) => v[index] == UNWRITTEN_I64,
            Data::Bool(v) => v[index] == self.unwritten_bool,
            other => unreachable!("{} tensors have no view", other.dtype()),
        }
    }

    fn margins_are_intact(&self) -> bool {
        (0..MARGIN).chain(MARGIN + self.len..self.data.len()).all(|index| self.is_unwritten(index))
    }

    /// The first element that still holds the pattern; for booleans the comparison with both fillings tells.
    fn first_unwritten(&self) -> Option<usize> {
        if self.data.dtype() == DType::Bool {
            return None;
        }
        (0..self.len).find(|index| self.is_unwritten(MARGIN + index))
    }

    fn into_data(self) -> Data {
        let end = MARGIN + self.len;
        match self.data {
            Data::F32(v) => v[MARGIN..end].to_vec().into(),
            Data::I64(v) => v[MARGIN..end].to_vec().into(),
            Data::Bool(v) => v[MARGIN..end].to_vec().into(),
            other => unreachable!("{} tensors have no view", other.dtype()),
        }
    }
}

fn surrounded<T: Copy>(inner: &[T], margin: T) -> Vec<T> {
    let margins = [margin; MARGIN];
    [&margins[..], inner, &margins[..]].concat()
}

fn same_bits(a: &Data, b: &Data) -> bool {
    match (a, b) {
        (Data::F32(a), Data::F32(b)) => a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits())),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(dtype: DType) -> Port {
        Port { name: "y".into(), dtype, shape: vec![2], elements: 2 }
    }

    #[test]
    fn unwritten_elements_and_touched_margins_are_noticed() {
        let signature = Signature {
            inputs: Vec::new(),
            outputs: vec![port(DType::F32), port(DType::I64), port(DType::Bool)],
            batched: true,
        };
        let fresh = || Execution::new(&signature, &[], &[0..1, 1..3], false);
        let write = |execution: &mut Execution, skip_last: bool| {
            for part in &mut execution.parts() {
                for output in &mut part.outputs {
                    let len = output.len() - usize::from(skip_last);
                    match output {
                        ViewMut::F32(v) => v[..len].fill(f32::NAN),
                        ViewMut::I64(v) => v[..len].fill(7),
                        ViewMut::Bool(v) => v[..len].fill(true),
                    }
                }
            }
        };

        let mut written = fresh();
        assert!(written.is_untouched());
        write(&mut written, false);
        assert!(!written.is_untouched());
        let results = written.results(&signature).unwrap();
        assert_eq!(results[1][2], Data::Bool(vec![true; 4]));

        let mut forgotten = fresh();
        write(&mut forgotten, true);
        assert!(forgotten.results(&signature).unwrap_err().contains("element 1 was not written"));

        for place in [0, MARGIN - 1, MARGIN + 2] {
            let mut beyond = fresh();
            write(&mut beyond, false);
            let Data::F32(v) = &mut beyond.parts[0].outputs[0].data else { panic!("the output is f32") };
            v[place] = 1.0;
            assert!(beyond.results(&signature).unwrap_err().contains("next to it"));
        }
    }

    #[test]
    fn parts_hold_their_samples() {
        let signature = Signature { inputs: vec![port(DType::F32)], outputs: Vec::new(), batched: true };
        let inputs = [Tensor::new([3, 2], (0..6).map(|i| i as f32).collect::<Vec<_>>()).unwrap()];
        let mut execution = Execution::new(&signature, &inputs, &[2..3, 0..0, 0..2], false);
        let batch = execution.batch();
        assert_eq!(batch.samples(), 3);
        batch.check(&signature, 3).unwrap();
        let View::F32(first) = batch.parts()[0].inputs[0] else { panic!("the input is f32") };
        assert_eq!(first, [4.0, 5.0]);
    }
}
