//! What every convolution with packed weights reads, writes and promises.

use std::ops::Range;

use paceline_graph::Activation;

use crate::division::Units;

/// What a convolution reads and writes; every image is contiguous, in the layout of its side.
#[derive(Clone, Copy)]
pub(crate) struct ConvArgs<'a> {
    /// How many samples.
    pub samples: usize,
    /// `[samples, channels_in, height, width]`, or channels last.
    pub input: &'a [f32],
    /// `[channels_out]`, if any.
    pub bias: Option<&'a [f32]>,
    /// Like the output, if any: added before the activation.
    pub residual: Option<&'a [f32]>,
    /// Applied last.
    pub activation: Option<Activation>,
    /// `[samples, channels_out, height, width]`, or channels last: an address, because threads at once write different parts.
    pub out: *mut [f32],
    /// [`Convolution::scratch_floats`] values of any content, the same in all threads.
    pub shared: *mut [f32],
    /// [`Convolution::helper_floats`] values of any content, of this thread alone; they may be those of `shared`.
    pub scratch: *mut [f32],
}

/// A convolution whose weights are packed.
pub(crate) trait Convolution: Send + Sync {
    /// The scratch that any number of samples needs.
    fn scratch_floats(&self) -> usize;

    /// The scratch that each further thread needs.
    fn helper_floats(&self) -> usize;

    /// Computes the convolution.
    ///
    /// # Panics
    /// If a slice is too short.
    ///
    /// # Safety
    /// Nobody else uses the output or the scratch.
    unsafe fn run(&self, args: ConvArgs<'_>);

    /// In how many passes threads share the work for so many samples; each begins when the one before is done.
    fn passes(&self, samples: usize) -> usize;

    /// The work of one pass as threads may share it, if that is worth it.
    fn units(&self, samples: usize, pass: usize) -> Option<Units>;

    /// Computes some units of a pass, or all of it. All units of all passes leave what [`run`](Self::run) leaves, bit for bit.
    ///
    /// # Panics
    /// If a slice is too short.
    ///
    /// # Safety
    /// No unit is computed twice, passes follow one another, and nobody else uses the output, the shared scratch, or this thread's.
    unsafe fn run_units(&self, args: ConvArgs<'_>, pass: usize, units: Option<Range<usize>>);
}

impl ConvArgs<'_> {
    /// Panics if a slice is too short for the floats of one sample.
    pub(in crate::kernels) fn check(&self, input: usize, output: usize, channels_out: usize, scratch: usize) {
        let samples = self.samples;
        assert!(samples * input <= self.input.len(), "{samples} inputs of {input} in {}", self.input.len());
        assert!(samples * output <= self.out.len(), "{samples} outputs of {output} in {}", self.out.len());
        assert!(self.residual.is_none_or(|r| samples * output <= r.len()), "{samples} residuals of {output}");
        assert!(self.bias.is_none_or(|bias| channels_out <= bias.len()), "a bias of {channels_out}");
        assert!(scratch <= self.scratch.len(), "scratch of {scratch} in {}", self.scratch.len());
    }
}
