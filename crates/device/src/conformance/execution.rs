//! One execution with its buffers: inputs cut out of larger tensors and misaligned, outputs filled with a pattern that no
//! result has, everything between margins.

use std::ops::Range;

use paceline_graph::{DType, Data, Element, Tensor, by_type, element_types};

use crate::{Batch, Part, Port, Session, Signature, View, ViewMut, execute};

/// Elements before and after every buffer. Odd, so that a buffer begins off every vector's boundary.
const MARGIN: usize = 19;

/// What outputs hold before an execution: a pattern that is unlikely to be a result, so that an element left alone is
/// noticed, or, with `filling`, its complement.
trait Pattern: Element {
    fn unwritten(filling: bool) -> Self;
}

macro_rules! patterns {
    ($($variant:ident($ty:tt, $name:literal, $doc:literal),)*) => {
        $(
            impl Pattern for $ty {
                fn unwritten(filling: bool) -> Self {
                    patterns! { @of $ty, filling }
                }
            }
        )*
    };
    (@of bool, $filling:ident) => { $filling };
    // NaNs that no arithmetic makes.
    (@of f32, $filling:ident) => { f32::from_bits(if $filling { 0x7fed_cba9 } else { 0x7feb_cda9 }) };
    (@of f64, $filling:ident) => { f64::from_bits(if $filling { 0x7ffe_dcba_9876_5432 } else { 0x7ffe_dcab_8976_5432 }) };
    (@of $ty:tt, $filling:ident) => {
        Self::from_integer(if $filling { -0x0123_4567_89ab_cdef } else { 0x0123_4567_89ab_cdee })
    };
}

element_types!(patterns);

/// Whether every pattern of such elements is a plausible result, so that only executions with both fillings tell that one
/// was left alone.
pub(super) fn hides_unwritten(dtype: DType) -> bool {
    dtype.size_bytes() < 4
}

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
    filling: bool,
}

impl Execution {
    /// One part a span, its samples taken from `inputs`. Outputs of small elements, whose every
    /// pattern may be a result, are filled in two ways: a device must be tried with both.
    pub(super) fn new(signature: &Signature, inputs: &[Tensor], spans: &[Span], filling: bool) -> Self {
        let of = |span: &Span| Buffers {
            samples: span.len(),
            inputs: (signature.inputs.iter().zip(inputs))
                .map(|(port, tensor)| Guarded::holding(rows(View::of(tensor.data()), port, span), filling))
                .collect(),
            outputs: (signature.outputs.iter())
                .map(|port| Guarded::unwritten(port.dtype, port.elements * span.len(), filling))
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
            let unwritten = Guarded::unwritten(output.data.dtype(), output.len, output.filling);
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
    fn holding(view: View<'_>, filling: bool) -> Self {
        let data = by_type!(View, view, v => Data::of(surrounded(v, Pattern::unwritten(filling))));
        Guarded { data, len: view.len(), filling }
    }

    fn unwritten(dtype: DType, len: usize, filling: bool) -> Self {
        let full = len + 2 * MARGIN;
        let mut data = Data::zeros(dtype, full);
        by_type!(Data, &mut data, v => v.fill(Pattern::unwritten(filling)));
        Guarded { data, len, filling }
    }

    fn view(&self) -> View<'_> {
        View::of(&self.data).slice(MARGIN, MARGIN + self.len)
    }

    fn view_mut(&mut self) -> ViewMut<'_> {
        ViewMut::of(&mut self.data).slice(MARGIN, MARGIN + self.len)
    }

    fn is_unwritten(&self, index: usize) -> bool {
        by_type!(Data, &self.data, v => is_pattern(v[index], self.filling))
    }

    fn margins_are_intact(&self) -> bool {
        (0..MARGIN).chain(MARGIN + self.len..self.data.len()).all(|index| self.is_unwritten(index))
    }

    /// The first element that still holds the pattern; for small elements the comparison with both fillings tells.
    fn first_unwritten(&self) -> Option<usize> {
        if hides_unwritten(self.data.dtype()) {
            return None;
        }
        (0..self.len).find(|index| self.is_unwritten(MARGIN + index))
    }

    fn into_data(self) -> Data {
        self.view().to_data()
    }
}

fn is_pattern<T: Pattern>(element: T, filling: bool) -> bool {
    element.bits() == T::unwritten(filling).bits()
}

fn surrounded<T: Copy>(inner: &[T], margin: T) -> Vec<T> {
    let margins = [margin; MARGIN];
    [&margins[..], inner, &margins[..]].concat()
}

fn same_bits(a: &Data, b: &Data) -> bool {
    by_type!(Data, a, Data, b, (a, b) => a.iter().map(|v| v.bits()).eq(b.iter().map(|v| v.bits())), else false)
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
                        other => unreachable!("no port is of {}", other.dtype()),
                    }
                }
            }
        };

        let mut written = fresh();
        assert!(written.is_untouched());
        write(&mut written, false);
        assert!(!written.is_untouched());
        let results = written.results(&signature).unwrap();
        assert_eq!(results[1][2], Data::of(vec![true; 4]));

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
