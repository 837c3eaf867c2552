//! The sizes of a convolution, and how its images lie.

use crate::kernels::channelwise::Channelwise;
use crate::kernels::pad::Padded;

/// How the values of an image lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `[channels, height, width]`.
    ChannelsFirst,
    /// `[height, width, channels]`.
    ChannelsLast,
}

impl Layout {
    /// From one channel to the next, and from one pixel of a row to the next.
    pub(super) fn steps(self, channels: usize, plane: usize) -> (usize, usize) {
        match self {
            Layout::ChannelsFirst => (plane, 1),
            Layout::ChannelsLast => (1, channels),
        }
    }
}

/// The sizes of a convolution over height and width; one axis is a height of 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConvShape {
    /// Input channels.
    pub channels_in: usize,
    /// Output channels.
    pub channels_out: usize,
    /// Groups of channels that do not see each other; they divide both.
    pub groups: usize,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Zeros before and after each axis.
    pub padding: [(usize, usize); 2],
    /// Steps between taps.
    pub dilation: [usize; 2],
    /// How the input lies, and how the output and the residual do.
    pub layouts: [Layout; 2],
}

impl ConvShape {
    /// Height and width of the output.
    ///
    /// # Panics
    /// If the kernel is larger than the padded input, or a stride is 0.
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            let padded = self.padding[axis].0 + self.input[axis] + self.padding[axis].1;
            let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
            assert!(reach <= padded, "a kernel that reaches over {reach} of {padded}");
            (padded - reach) / self.stride[axis] + 1
        })
    }

    /// Whether every output channel sees one input channel, and there are several.
    pub fn is_depthwise(&self) -> bool {
        self.channels_in == self.groups && self.groups > 1
    }

    /// Whether there is a kernel for channels that lie last.
    pub fn may_have_channels_last(&self) -> bool {
        !self.is_depthwise() || Channelwise::exists(self)
    }

    /// The padded planes of the input; where channels lie last, its rows are those of one plane.
    pub(in crate::kernels) fn padded(&self) -> Padded {
        let [height, width] = self.input;
        let [vertical, (left, right)] = self.padding;
        match self.layouts[0] {
            Layout::ChannelsFirst => Padded::new(self.input, self.padding),
            Layout::ChannelsLast => {
                let c = self.channels_in;
                Padded::new([height, width * c], [vertical, (left * c, right * c)])
            }
        }
    }

    /// The same convolution over one axis, if every window is one value and none is skipped.
    pub(super) fn flattened(self) -> Self {
        if self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [(0, 0); 2] {
            Self { input: [1, self.input[0] * self.input[1]], ..self }
        } else {
            self
        }
    }
}
