//! Loops over several operands of one shape, each with its own strides.
//!
//! The samples of a batch are one more axis, in front of the others, whose length is known only when a batch runs. Axes that
//! lie one behind the other in every operand are merged, so that most loops end up with one or two axes.

/// A loop nest over `K` operands; strides count elements.
#[derive(Clone, Debug)]
pub(crate) struct Nd<const K: usize> {
    /// Outermost first.
    axes: Vec<Axis<K>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis<const K: usize> {
    /// Steps, or steps a sample.
    length: usize,
    /// Whether there are `length` steps for every sample.
    every_sample: bool,
    strides: [usize; K],
}

/// The two innermost axes of a loop nest; one step along the first, where there is only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block<const K: usize> {
    /// Where each operand starts, in elements.
    pub offsets: [usize; K],
    /// Steps along each axis.
    pub lengths: [usize; 2],
    /// From one step to the next along each axis, in elements.
    pub strides: [[usize; 2]; K],
}

/// The innermost axis of a loop nest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run<const K: usize> {
    /// Where each operand starts, in elements.
    pub offsets: [usize; K],
    /// Steps.
    pub length: usize,
    /// From one step to the next, in elements.
    pub strides: [usize; K],
}

impl<const K: usize> Nd<K> {
    /// Loops over `shape` for every sample. `strides[operand]` has one stride an axis; `sample_strides` lead from one sample to
    /// the next.
    pub fn new(shape: &[usize], strides: [&[usize]; K], sample_strides: [usize; K]) -> Self {
        let axis = |i: usize| Axis { length: shape[i], every_sample: false, strides: strides.map(|s| s[i]) };
        let samples = Axis { length: 1, every_sample: true, strides: sample_strides };
        let mut axes = vec![samples];
        for inner in (0..shape.len()).map(axis).filter(|axis| axis.length != 1) {
            let outer = axes.last_mut().expect("starts with the samples");
            let merges = (0..K).all(|k| outer.strides[k] == inner.strides[k] * inner.length);
            if merges {
                *outer =
                    Axis { length: outer.length * inner.length, every_sample: outer.every_sample, ..inner };
            } else {
                axes.push(inner);
            }
        }
        Nd { axes }
    }

    /// Calls `run` for each stretch along the innermost axis, in order.
    pub fn for_each_run(&self, samples: usize, mut run: impl FnMut(Run<K>)) {
        let (inner, outer) = self.axes.split_last().expect("starts with the samples");
        let length = inner.steps(samples);
        descend(outer, samples, [0; K], &mut |offsets| {
            if length > 0 {
                run(Run { offsets, length, strides: inner.strides });
            }
        });
    }

    /// Calls `block` for each stretch of the two innermost axes, in order.
    pub fn for_each_block(&self, samples: usize, mut block: impl FnMut(Block<K>)) {
        let [outer @ .., first, second] = self.axes.as_slice() else {
            return self.for_each_run(samples, |Run { offsets, length, strides }| {
                block(Block { offsets, lengths: [1, length], strides: strides.map(|s| [0, s]) })
            });
        };
        let lengths = [first.steps(samples), second.steps(samples)];
        let strides = std::array::from_fn(|k| [first.strides[k], second.strides[k]]);
        descend(outer, samples, [0; K], &mut |offsets| {
            if lengths[0] * lengths[1] > 0 {
                block(Block { offsets, lengths, strides });
            }
        });
    }
}

impl<const K: usize> Axis<K> {
    fn steps(&self, samples: usize) -> usize {
        if self.every_sample { self.length * samples } else { self.length }
    }
}

/// Calls `visit` with the operands' offsets at every step of these axes.
fn descend<const K: usize>(
    axes: &[Axis<K>],
    samples: usize,
    offsets: [usize; K],
    visit: &mut impl FnMut([usize; K]),
) {
    let [axis, inner @ ..] = axes else { return visit(offsets) };
    for step in 0..axis.steps(samples) {
        descend(inner, samples, std::array::from_fn(|k| offsets[k] + step * axis.strides[k]), visit);
    }
}

/// Row-major strides of a dense shape.
pub(crate) fn dense_strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs<const K: usize>(nd: &Nd<K>, samples: usize) -> Vec<Run<K>> {
        let mut all = Vec::new();
        nd.for_each_run(samples, |run| all.push(run));
        all
    }

    #[test]
    fn dense_operands_merge_into_one_run() {
        let strides = dense_strides(&[2, 3, 4]);
        let nd = Nd::new(&[2, 3, 4], [&strides, &strides], [24, 24]);
        assert_eq!(runs(&nd, 5), [Run { offsets: [0, 0], length: 120, strides: [1, 1] }]);
        assert_eq!(runs(&nd, 0), []);
    }

    #[test]
    fn a_broadcast_operand_keeps_its_axes_apart() {
        // [N, 2, 3] + [3]
        let nd = Nd::new(&[2, 3], [&[3, 1], &[0, 1]], [6, 0]);
        let got = runs(&nd, 2);
        assert_eq!(got.len(), 4);
        assert_eq!(got[3], Run { offsets: [9, 0], length: 3, strides: [1, 1] });
    }

    #[test]
    fn every_element_is_visited_once_in_order() {
        // A transposed source: [3, 2] read as [2, 3].
        let nd = Nd::new(&[2, 3], [&[1, 2], &[3, 1]], [6, 6]);
        let mut seen = Vec::new();
        nd.for_each_run(2, |run| {
            for i in 0..run.length {
                seen.push((run.offsets[0] + i * run.strides[0], run.offsets[1] + i * run.strides[1]));
            }
        });
        let expected: Vec<_> = (0..2)
            .flat_map(|n| {
                (0..2).flat_map(move |i| (0..3).map(move |j| (n * 6 + j * 2 + i, n * 6 + i * 3 + j)))
            })
            .collect();
        assert_eq!(seen, expected);
        let mut blocks = Vec::new();
        nd.for_each_block(2, |block| blocks.push(block));
        let block = |n: usize| Block { offsets: [n * 6; 2], lengths: [2, 3], strides: [[1, 2], [3, 1]] };
        assert_eq!(blocks, [block(0), block(1)]);
    }

    #[test]
    fn axes_of_length_zero_run_nothing() {
        let nd = Nd::new(&[0, 3], [&[3, 1]], [0]);
        assert_eq!(runs(&nd, 4), []);
    }

    #[test]
    fn a_scalar_runs_once_a_sample() {
        let nd = Nd::new(&[], [&[], &[]], [1, 0]);
        assert_eq!(runs(&nd, 3), [Run { offsets: [0, 0], length: 3, strides: [1, 0] }]);
    }
}
