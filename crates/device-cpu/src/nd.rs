//! Loops over several operands of one shape, each with its own strides.
//!
//! The samples of a batch are one more axis, in front of the others, whose length is known only when a batch runs. Axes that
//! lie one behind the other in every operand are merged, so that most loops end up with one or two axes.

use std::ops::Range;

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

    /// Elements of so many samples.
    pub fn elements(&self, samples: usize) -> usize {
        steps(&self.axes, samples)
    }

    /// Rows of so many samples: all axes but the innermost; of a single axis, its elements.
    pub fn rows(&self, samples: usize) -> usize {
        let [outer @ .., _] = self.axes.as_slice() else { unreachable!("starts with the samples") };
        if outer.is_empty() { self.elements(samples) } else { steps(outer, samples) }
    }

    /// Calls `run` for each stretch along the innermost axis, in order.
    pub fn for_each_run(&self, samples: usize, run: impl FnMut(Run<K>)) {
        self.for_each_run_of(samples, 0..self.elements(samples), run);
    }

    /// Calls `run` for each stretch along the innermost axis, or what is inside of it of these [elements](Self::elements), in order.
    pub fn for_each_run_of(&self, samples: usize, elements: Range<usize>, mut run: impl FnMut(Run<K>)) {
        let strides = self.axes.last().expect("starts with the samples").strides;
        descend(&self.axes, samples, [0; K], elements, &mut |offsets, length| {
            run(Run { offsets, length, strides });
        });
    }

    /// Calls `block` for each stretch of the two innermost axes, or what is inside of it of these [rows](Self::rows), in order.
    pub fn for_each_block_of(&self, samples: usize, rows: Range<usize>, mut block: impl FnMut(Block<K>)) {
        let [outer @ .., second] = self.axes.as_slice() else { unreachable!("starts with the samples") };
        let Some(first) = outer.last() else {
            return self.for_each_run_of(samples, rows, |run| block(run.into()));
        };
        let length = second.steps(samples);
        if length == 0 {
            return;
        }
        let strides = std::array::from_fn(|k| [first.strides[k], second.strides[k]]);
        descend(outer, samples, [0; K], rows, &mut |offsets, rows| {
            block(Block { offsets, lengths: [rows, length], strides });
        });
    }

    /// Calls `block` for blocks that together are these [elements](Self::elements), in order: the end of a row, whole rows, and the
    /// beginning of another.
    pub fn for_each_part_of(&self, samples: usize, elements: Range<usize>, mut block: impl FnMut(Block<K>)) {
        let each = (self.elements(samples) / self.rows(samples).max(1)).max(1);
        let rows = elements.start.div_ceil(each)..elements.end / each;
        let (before, behind) = if rows.is_empty() {
            (elements.clone(), elements.end..elements.end)
        } else {
            (elements.start..rows.start * each, rows.end * each..elements.end)
        };
        self.for_each_run_of(samples, before, |run| block(run.into()));
        self.for_each_block_of(samples, rows, &mut block);
        self.for_each_run_of(samples, behind, |run| block(run.into()));
    }
}

impl<const K: usize> From<Run<K>> for Block<K> {
    fn from(Run { offsets, length, strides }: Run<K>) -> Self {
        Block { offsets, lengths: [1, length], strides: strides.map(|stride| [0, stride]) }
    }
}

impl<const K: usize> Axis<K> {
    fn steps(&self, samples: usize) -> usize {
        if self.every_sample { self.length * samples } else { self.length }
    }
}

/// Steps of a nest of axes.
fn steps<const K: usize>(axes: &[Axis<K>], samples: usize) -> usize {
    axes.iter().map(|axis| axis.steps(samples)).product()
}

/// Calls `visit` with the operands' offsets, and how many steps follow, for each stretch along the last of these axes that has any
/// of the steps `wanted` of the nest.
fn descend<const K: usize>(
    axes: &[Axis<K>],
    samples: usize,
    offsets: [usize; K],
    wanted: Range<usize>,
    visit: &mut impl FnMut([usize; K], usize),
) {
    let [axis, inner @ ..] = axes else { unreachable!("a nest has an axis") };
    let at = |step: usize| std::array::from_fn(|k| offsets[k] + step * axis.strides[k]);
    if wanted.is_empty() {
        return;
    }
    if inner.is_empty() {
        return visit(at(wanted.start), wanted.len());
    }
    let each = steps(inner, samples);
    for step in wanted.start / each..wanted.end.div_ceil(each) {
        let first = step * each;
        let part = wanted.start.saturating_sub(first)..(wanted.end - first).min(each);
        descend(inner, samples, at(step), part, visit);
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
        nd.for_each_block_of(2, 0..nd.rows(2), |block| blocks.push(block));
        let block = |n: usize| Block { offsets: [n * 6; 2], lengths: [2, 3], strides: [[1, 2], [3, 1]] };
        assert_eq!(blocks, [block(0), block(1)]);
    }

    #[test]
    fn axes_of_length_zero_run_nothing() {
        let nd = Nd::new(&[0, 3], [&[3, 1]], [0]);
        assert_eq!(runs(&nd, 4), []);
    }

    #[test]
    fn pieces_together_visit_what_the_whole_does() {
        let nests = [
            Nd::new(&[2, 3, 4], [&[12, 4, 1], &[0, 4, 1]], [24, 0]),
            Nd::new(&[5, 3], [&[1, 5], &[3, 1]], [15, 15]),
            Nd::new(&[7], [&[1], &[1]], [7, 7]),
            Nd::new(&[], [&[], &[]], [1, 0]),
        ];
        for (nd, samples) in nests.iter().flat_map(|nd| [1, 3].map(|samples| (nd, samples))) {
            let elements = |run: Run<2>| {
                (0..run.length)
                    .map(move |i| [0, 1].map(|k| run.offsets[k] + i * run.strides[k]))
                    .collect::<Vec<_>>()
            };
            let whole: Vec<_> = runs(nd, samples).into_iter().flat_map(elements).collect();
            assert_eq!(whole.len(), nd.elements(samples));
            let rows = nd.rows(samples);
            for piece in 1..=whole.len() {
                let mut seen = Vec::new();
                for first in (0..whole.len()).step_by(piece) {
                    let end = (first + piece).min(whole.len());
                    nd.for_each_run_of(samples, first..end, |run| seen.extend(elements(run)));
                }
                assert_eq!(seen, whole);
                let of_block = |block: Block<2>| {
                    let strides = block.strides.map(|[_, stride]| stride);
                    let row = move |row| {
                        let offsets = [0, 1].map(|k| block.offsets[k] + row * block.strides[k][0]);
                        elements(Run { offsets, length: block.lengths[1], strides })
                    };
                    (0..block.lengths[0]).flat_map(row)
                };
                let mut seen = Vec::new();
                for first in (0..rows).step_by(piece) {
                    let some = first..(first + piece).min(rows);
                    nd.for_each_block_of(samples, some, |block| seen.extend(of_block(block)));
                }
                assert_eq!(seen, whole);
                let mut seen = Vec::new();
                for first in (0..whole.len()).step_by(piece) {
                    let some = first..(first + piece).min(whole.len());
                    nd.for_each_part_of(samples, some, |block| seen.extend(of_block(block)));
                }
                assert_eq!(seen, whole);
            }
        }
    }

    #[test]
    fn a_scalar_runs_once_a_sample() {
        let nd = Nd::new(&[], [&[], &[]], [1, 0]);
        assert_eq!(runs(&nd, 3), [Run { offsets: [0, 0], length: 3, strides: [1, 0] }]);
    }
}
