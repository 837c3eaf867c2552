//! Values as the planner sees them: a storage, and the strides under which a value's elements lie in it.

use paceline_graph::DType;

use crate::nd::dense_strides;
use crate::plan::{Slot, StorageId};

/// One value, or a view of one. Shapes and strides are those of one sample; strides count elements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Operand {
    pub slot: Slot,
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
    /// From one sample to the next; 0 when all samples share the value.
    pub sample_stride: usize,
    /// Whether there is a value for each sample.
    pub every_sample: bool,
}

/// The permutation of an image's axes, and its inverse, that bring its channels behind its pixels.
pub(crate) const CHANNELS_TO_LAST: [usize; 4] = [0, 2, 3, 1];
pub(crate) const CHANNELS_FROM_LAST: [usize; 4] = [0, 3, 1, 2];

impl Operand {
    /// The whole of a storage.
    pub fn whole(storage: StorageId, dtype: DType, shape: Vec<usize>, every_sample: bool) -> Self {
        let strides = dense_strides(&shape);
        let elements: usize = shape.iter().product();
        let sample_stride = if every_sample { elements } else { 0 };
        Operand { slot: Slot { storage, offset: 0 }, dtype, shape, strides, sample_stride, every_sample }
    }

    pub fn storage(&self) -> StorageId {
        self.slot.storage
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Elements of one sample.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the elements of a sample lie in row-major order without gaps, and so do the samples.
    pub fn is_dense(&self) -> bool {
        let dense = dense_strides(&self.shape);
        let in_order = (0..self.rank()).all(|i| self.shape[i] == 1 || self.strides[i] == dense[i]);
        self.elements() == 0 || (in_order && (!self.every_sample || self.sample_stride == self.elements()))
    }

    /// Whether this is an image, `[_, channels, height, width]`, of which the channels of a pixel lie side by side, then the
    /// pixels, then the rows, without gaps.
    pub fn has_channels_last(&self) -> bool {
        self.rank() == 4 && self.transposed(&CHANNELS_TO_LAST).is_dense()
    }

    /// Whether the elements of the last axis lie side by side.
    pub fn last_is_contiguous(&self) -> bool {
        match (self.shape.last(), self.strides.last()) {
            (Some(&length), Some(&stride)) => length <= 1 || stride == 1,
            _ => true,
        }
    }

    /// The same elements with axes permuted: axis `i` is this operand's axis `permutation[i]`.
    pub fn transposed(&self, permutation: &[usize]) -> Self {
        Operand {
            shape: permutation.iter().map(|&p| self.shape[p]).collect(),
            strides: permutation.iter().map(|&p| self.strides[p]).collect(),
            ..self.clone()
        }
    }

    /// Elements `start, start + step, ...` of one axis, `length` of them. With fewer than two, `step` may be anything.
    pub fn sliced(&self, axis: usize, start: usize, step: usize, length: usize) -> Self {
        let mut view = self.clone();
        if length > 0 {
            view.slot.offset += start * self.strides[axis];
        }
        if length > 1 {
            view.strides[axis] *= step;
        }
        view.shape[axis] = length;
        view
    }

    /// The same elements under another shape, where strides can express that.
    pub fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        let strides = if self.is_dense() { dense_strides(shape) } else { self.reshaped_strides(shape)? };
        Some(Operand { shape: shape.to_vec(), strides, ..self.clone() })
    }

    /// Strides as if this operand were repeated along new and length-1 axes to `shape`, as NumPy broadcasts.
    pub fn broadcast_strides(&self, shape: &[usize]) -> Vec<usize> {
        let missing = shape.len() - self.rank();
        let stride = |i: usize| match i.checked_sub(missing) {
            Some(own) if self.shape[own] == shape[i] => self.strides[own],
            _ => 0,
        };
        (0..shape.len()).map(stride).collect()
    }

    /// This operand repeated to `shape`, as NumPy broadcasts.
    pub fn broadcast(&self, shape: &[usize]) -> Self {
        Operand { shape: shape.to_vec(), strides: self.broadcast_strides(shape), ..self.clone() }
    }

    /// Matches groups of axes with equal numbers of elements; within a group the old axes must lie one behind the other.
    fn reshaped_strides(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let old: Vec<(usize, usize)> = self
            .shape
            .iter()
            .copied()
            .zip(self.strides.iter().copied())
            .filter(|&(length, _)| length != 1)
            .collect();
        let mut strides = vec![0; shape.len()];
        let (mut o, mut n) = (0, 0);
        while n < shape.len() {
            if shape[n] == 1 {
                n += 1;
                continue;
            }
            let (first_old, first_new) = (o, n);
            let (mut old_length, mut new_length) = (old.get(o)?.0, shape[n]);
            (o, n) = (o + 1, n + 1);
            while old_length != new_length {
                if old_length < new_length {
                    old_length *= old.get(o)?.0;
                    o += 1;
                } else {
                    new_length *= shape.get(n)?;
                    n += 1;
                }
            }
            let contiguous = (first_old + 1..o).all(|i| old[i - 1].1 == old[i].0 * old[i].1);
            if !contiguous {
                return None;
            }
            let mut stride = old[o - 1].1;
            for i in (first_new..n).rev() {
                strides[i] = stride;
                stride *= shape[i];
            }
        }
        Some(strides)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operand(shape: &[usize]) -> Operand {
        Operand::whole(StorageId(0), DType::F32, shape.to_vec(), true)
    }

    #[test]
    fn a_slice_of_rows_splits_into_heads_without_a_copy() {
        let qkv = operand(&[32, 96]);
        let k = qkv.sliced(1, 32, 1, 32);
        assert!(!k.is_dense());
        let heads = k.reshaped(&[32, 4, 8]).unwrap();
        assert_eq!((heads.slot.offset, heads.strides), (32, vec![96, 8, 1]));
        assert_eq!(k.reshaped(&[32 * 32]), None);
        assert_eq!(k.reshaped(&[4, 8, 32]).unwrap().strides, [768, 96, 1]);
        assert!(k.reshaped(&[4, 1, 8, 32]).is_some());
    }

    #[test]
    fn channels_are_last_where_pixels_hold_them_without_gaps() {
        let last = operand(&[1, 5, 6, 3]).transposed(&CHANNELS_FROM_LAST);
        assert_eq!(last.shape, [1, 3, 5, 6]);
        assert!(last.has_channels_last() && !last.is_dense());
        assert_eq!(last.transposed(&CHANNELS_TO_LAST), operand(&[1, 5, 6, 3]));
        assert!(!operand(&[1, 3, 5, 6]).has_channels_last());
        assert!(!last.sliced(1, 0, 1, 2).has_channels_last() && !last.sliced(2, 0, 1, 4).has_channels_last());
        assert!(operand(&[1, 3, 1, 1]).has_channels_last());
        assert!(!operand(&[3, 5]).has_channels_last());
    }

    #[test]
    fn transposes_and_broadcasts_are_strides() {
        let x = operand(&[2, 3]);
        let t = x.transposed(&[1, 0]);
        assert_eq!((t.shape.clone(), t.strides.clone(), t.is_dense()), (vec![3, 2], vec![1, 3], false));
        assert_eq!(t.reshaped(&[6]), None);
        assert_eq!(operand(&[3, 1]).broadcast_strides(&[2, 3, 4]), [0, 1, 0]);
    }

    #[test]
    fn a_sliced_sample_is_not_dense_even_when_its_elements_are_in_order() {
        let x = operand(&[4, 3]).sliced(0, 1, 1, 2);
        assert!(!x.is_dense());
        assert!(x.reshaped(&[6]).is_some());
    }
}
