//! Attention: query, key and value rows are read where they are, as slices of a joint projection or apart.

use std::ops::Range;

use paceline_graph::{Attention, Node};

use super::{Lowering, Unsupported};
use crate::division::{estimated_us, within};
use crate::kernels::attention::{self as kernel, HeadRows, KeyPadding, Mask, scratch_floats};
use crate::kernels::set::KernelSet;
use crate::operand::Operand;
use crate::plan::{Frame, Slot};
use crate::rowwise::Rowwise;

/// Operations a score for its exponential, in units of a multiply-add.
const SCORE_OPERATIONS: f64 = 24.0;

impl Lowering<'_> {
    pub fn attention(&mut self, node: &Node, op: &Attention) -> Result<(), Unsupported> {
        let [q, k, v] = [0, 1, 2].map(|index| self.contiguous_rows(node, index));
        let mask = self.optional(node, 3);
        let key_padding = self.optional_dense(node, 4);
        let y = self.destination(node.outputs[0]);
        let [outer, queries, width] = y.shape[..] else { unreachable!("shape rules ask for three axes") };
        let keys = k.shape[1];
        let head_size = q.shape[2] / op.heads;
        let step = AttentionStep {
            lanes: self.kernels.lanes,
            outer,
            heads: op.heads,
            queries,
            keys,
            head_size,
            value_size: width / op.heads,
            // Heads without width score 0, whatever the scale; an infinite one would make that NaN.
            scale: op.scale.unwrap_or(1.0 / (head_size.max(1) as f32).sqrt()),
            causal: op.causal,
            q: Rows::of(&q),
            k: Rows::of(&k),
            v: Rows::of(&v),
            mask: mask.as_ref().map(|mask| {
                let strides = mask.broadcast_strides(&[outer, op.heads, queries, keys]);
                (mask.slot, [strides[0], strides[1], strides[2], strides[3]], mask.sample_stride)
            }),
            key_padding: key_padding.as_ref().map(|padding| (padding.slot, padding.sample_stride)),
            y: Rows::of(&y),
        };
        let scratch = scratch_floats(self.kernels.lanes, keys, head_size) * size_of::<f32>();
        let reads: Vec<&Operand> = [Some(&q), Some(&k), Some(&v), mask.as_ref(), key_padding.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        self.emit(step, &reads, &y, scratch);
        Ok(())
    }
}

/// An operand `[outer, rows, heads * size]`, its last axis contiguous.
struct Rows {
    slot: Slot,
    row_stride: usize,
    outer_stride: usize,
    sample_stride: usize,
}

impl Rows {
    fn of(operand: &Operand) -> Self {
        Rows {
            slot: operand.slot,
            row_stride: operand.strides[1],
            outer_stride: operand.strides[0],
            sample_stride: operand.sample_stride,
        }
    }

    /// The rows of index `outer` of every sample.
    ///
    /// # Safety
    /// The storage has them.
    unsafe fn at(&self, frame: &Frame<'_>, outer: usize) -> HeadRows {
        HeadRows {
            // SAFETY: the caller's promise.
            start: unsafe { frame.at::<f32>(self.slot, outer * self.outer_stride) },
            row_stride: self.row_stride,
            sample_stride: self.sample_stride,
        }
    }
}

struct AttentionStep {
    /// Of a register.
    lanes: usize,
    /// Independent attentions a sample: more than one where an axis is merged with the batch.
    outer: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    head_size: usize,
    value_size: usize,
    scale: f32,
    causal: bool,
    q: Rows,
    k: Rows,
    v: Rows,
    /// Place, strides by outer, head, query and key, and from one sample to the next.
    mask: Option<(Slot, [usize; 4], usize)>,
    /// Place, and from one sample to the next.
    key_padding: Option<(Slot, usize)>,
    y: Rows,
}

impl AttentionStep {
    /// Blocks of queries of all heads of so many samples.
    fn blocks(&self, lanes: usize, samples: usize) -> usize {
        samples * self.heads * kernel::blocks(lanes, self.queries)
    }
}

impl Rowwise for AttentionStep {
    fn rows(&self, samples: usize) -> usize {
        self.outer * self.blocks(self.lanes, samples)
    }

    fn row_us(&self, kernels: &KernelSet, _: usize) -> f64 {
        let blocks = kernel::blocks(kernels.lanes, self.queries).max(1);
        let queries = self.queries as f64 / blocks as f64;
        let operations = (self.head_size + self.value_size) as f64 + SCORE_OPERATIONS;
        let visible = if self.causal { 0.5 } else { 1.0 };
        estimated_us(kernels, queries * visible * self.keys as f64 * operations, 0.0)
    }

    fn helper_bytes(&self) -> usize {
        scratch_floats(self.lanes, self.keys, self.head_size) * size_of::<f32>()
    }

    unsafe fn run_rows(&self, frame: &Frame<'_>, scratch: *mut u8, rows: Range<usize>) {
        for (outer, blocks) in within(rows, self.blocks(self.lanes, frame.samples)) {
            // SAFETY: every operand has `outer` stretches of rows in each sample; the mask is addressed by its own strides;
            // the scratch was sized for these keys and heads.
            unsafe {
                let out = self.y.at(frame, outer);
                let mask = match &self.mask {
                    Some((slot, [outer_stride, head, query, key], sample)) => Mask {
                        start: frame.at::<f32>(*slot, outer * outer_stride),
                        strides: [*sample, *head, *query, *key],
                    },
                    None => Mask { start: std::ptr::null(), strides: [0; 4] },
                };
                let key_padding = match &self.key_padding {
                    Some((slot, sample_stride)) => KeyPadding {
                        start: frame.at::<u8>(*slot, outer * self.keys),
                        sample_stride: *sample_stride,
                    },
                    None => KeyPadding { start: std::ptr::null(), sample_stride: 0 },
                };
                (frame.kernels.attention)(&kernel::Attention {
                    heads: self.heads,
                    queries: self.queries,
                    keys: self.keys,
                    head_size: self.head_size,
                    value_size: self.value_size,
                    q: self.q.at(frame, outer),
                    k: self.k.at(frame, outer),
                    v: self.v.at(frame, outer),
                    mask,
                    key_padding,
                    causal: self.causal,
                    scale: self.scale,
                    out: out.start.cast_mut(),
                    out_row_stride: out.row_stride,
                    out_sample_stride: out.sample_stride,
                    scratch: scratch.cast(),
                    blocks: [blocks.start, blocks.end],
                });
            }
        }
    }
}
