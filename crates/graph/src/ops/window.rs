//! Windows that slide over the spatial axes of `[N, C, length...]`, for convolution and pooling.

use super::check::{Arguments, fixed};
use super::index::elements;
use crate::{Dim, Problem};

/// The windows along one axis.
#[derive(Clone, Copy)]
pub(super) struct Windows {
    /// Taps of one window.
    pub kernel: usize,
    /// Distance between the first taps of neighbouring windows.
    pub stride: usize,
    /// How far windows reach over the beginning and the end of the axis.
    pub padding: (usize, usize),
    /// Distance between neighbouring taps.
    pub dilation: usize,
    /// Whether a last window that reaches over the padded end counts, if it begins before the end of the axis.
    pub ceil: bool,
}

impl Windows {
    /// The windows of each spatial axis, from attributes that must all be as many as `kernel`, and at least 1 but for the
    /// padding.
    pub fn new(
        kernel: &[usize],
        stride: &[usize],
        padding: &[(usize, usize)],
        dilation: &[usize],
    ) -> Result<Vec<Self>, Problem> {
        let axes = kernel.len();
        if [stride.len(), padding.len(), dilation.len()] != [axes; 3] {
            return Err(Problem::new(
                format!("one stride, padding and dilation for each of the {axes} spatial axes of the kernel"),
                format!("strides {stride:?}, paddings {padding:?}, dilations {dilation:?}"),
            ));
        }
        if [kernel, stride, dilation].concat().contains(&0) {
            return Err(Problem::new(
                "kernels, strides and dilations of at least 1",
                format!("kernels {kernel:?}, strides {stride:?}, dilations {dilation:?}"),
            ));
        }
        let windows = |i| Windows {
            kernel: kernel[i],
            stride: stride[i],
            padding: padding[i],
            dilation: dilation[i],
            ceil: false,
        };
        Ok((0..axes).map(windows).collect())
    }

    /// Elements from the first tap of a window to its last; `None` when that overflows.
    pub fn reach(&self) -> Option<usize> {
        (self.kernel - 1).checked_mul(self.dilation)?.checked_add(1)
    }

    /// How many windows an axis of this length has; `None` when none fits, or when the padded length overflows.
    fn count(&self, length: usize) -> Option<usize> {
        let padded = length.checked_add(self.padding.0)?.checked_add(self.padding.1)?;
        let steps = padded.checked_sub(self.reach()?)?;
        if !self.ceil {
            return Some(steps / self.stride + 1);
        }
        let last = steps.div_ceil(self.stride);
        let inside = last.checked_mul(self.stride)? < length + self.padding.0;
        Some(if inside { last + 1 } else { last.max(1) })
    }

    /// How many taps of a window do not lie beyond the padded end of an axis of this length.
    pub fn taps(&self, window: usize, length: usize) -> usize {
        let padded = length + self.padding.0 + self.padding.1;
        padded.saturating_sub(window * self.stride).div_ceil(self.dilation).min(self.kernel)
    }

    /// The taps of a window that fall on elements of an axis of this length, each with the element.
    fn inside(&self, window: usize, length: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
        let (first, before, dilation) = (window * self.stride, self.padding.0, self.dilation);
        let begin = before.saturating_sub(first).div_ceil(dilation);
        let end = (length + before).saturating_sub(first).div_ceil(dilation).min(self.kernel);
        (begin..end).map(move |tap| (tap, first + tap * dilation - before))
    }
}

/// Checks that the first input is `[N, C, length...]` over `axes` spatial axes, one to three, with the batch, if any, as axis 0.
/// Returns N, C and the spatial lengths.
pub(super) fn image<const R: usize, const O: usize>(
    arguments: &Arguments<'_, R, O>,
    axes: usize,
) -> Result<(Dim, usize, Vec<usize>), Problem> {
    if let [samples, rest @ ..] = arguments.required[0].shape.dims()
        && let Some([channels, lengths @ ..]) = fixed(rest).as_deref()
        && lengths.len() == axes
        && (1..=3).contains(&axes)
    {
        return Ok((*samples, *channels, lengths.to_vec()));
    }
    let accepted = match axes {
        1 => "x [N, C, L], in which only axis 0 may be the batch",
        2 => "x [N, C, H, W], in which only axis 0 may be the batch",
        3 => "x [N, C, D, H, W], in which only axis 0 may be the batch",
        _ => "windows over one to three spatial axes",
    };
    Err(Problem::new(accepted, format!("windows over {axes} axes of {arguments}")))
}

/// How many windows each axis has; an error where none fits.
pub(super) fn counts<const R: usize, const O: usize>(
    arguments: &Arguments<'_, R, O>,
    windows: &[Windows],
    lengths: &[usize],
) -> Result<Vec<usize>, Problem> {
    let counts = windows.iter().zip(lengths).map(|(windows, &length)| windows.count(length));
    counts.collect::<Option<_>>().ok_or_else(|| {
        let kernels: Vec<usize> = windows.iter().map(|w| w.kernel).collect();
        let dilations: Vec<usize> = windows.iter().map(|w| w.dilation).collect();
        let paddings: Vec<(usize, usize)> = windows.iter().map(|w| w.padding).collect();
        Problem::new(
            "windows that fit into the padded axes",
            format!("kernels {kernels:?}, dilations {dilations:?}, paddings {paddings:?} on {arguments}"),
        )
    })
}

/// What window number `index` of `counts` along each axis, in row-major order, covers: pairs of a tap and the element it falls on,
/// both flattened in row-major order. Taps in the padding are left out; the numbers of those of a kernel larger than memory saturate.
pub(super) fn covered(
    windows: &[Windows],
    lengths: &[usize],
    counts: &[usize],
    index: usize,
) -> Vec<(usize, usize)> {
    let axes = windows.iter().zip(lengths).enumerate();
    axes.fold(vec![(0, 0)], |outer, (axis, (windows, &length))| {
        let window = index / elements(&counts[axis + 1..]) % counts[axis];
        let along = windows.inside(window, length);
        let join = |(outer_tap, outer_element)| {
            let outer_tap: usize = windows.kernel.saturating_mul(outer_tap);
            let pair =
                move |(tap, element)| (outer_tap.saturating_add(tap), outer_element * length + element);
            along.clone().map(pair)
        };
        outer.into_iter().flat_map(join).collect()
    })
}
