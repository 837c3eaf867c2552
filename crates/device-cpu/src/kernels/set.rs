//! One table of kernels per instruction set.
//!
//! To add a kernel, write `#[inline(always)] pub(crate) unsafe fn name<V: Vector>(..)` in its own module and one line
//! in the list at the end of this file. Calling an entry is `unsafe`: the kernel's own conditions hold (that the
//! machine has the instruction set is what holding a [`KernelSet`] proves).

use std::ops::Range;

use super::attention::{self, Attention};
use super::channelwise::{self, ChannelwiseCall};
use super::copy::{self, Plane};
use super::depthwise::{self, DepthwiseCall};
use super::elementwise::{self, RowOperand};
use super::gemm::GemmCall;
use super::isa::Isa;
use super::pad::{self, Padded};
use super::pool::{self, PoolAxis};
use super::recurrent::{self, CellCall};
use super::{gemm, norm, pack, reduce, softmax, vector};
use paceline_graph::{BinaryOp, ReduceOp, UnaryOp};

/// Declares [`KernelSet`] from lines `name: fn(argument: Type, ..) -> Output = module::function;`.
macro_rules! kernel_sets {
    ($($(#[$doc:meta])* $name:ident: fn($($arg:ident: $ty:ty),*) $(-> $out:ty)? = $($kernel:ident)::+;)*) => {
        /// Every kernel, compiled for one instruction set.
        pub(crate) struct KernelSet {
            /// The instruction set.
            pub isa: Isa,
            /// The lanes of one register.
            pub lanes: usize,
            /// The columns of a panel of packed weights.
            pub panel_columns: usize,
            $($(#[$doc])* pub $name: unsafe fn($($ty),*) $(-> $out)?,)*
        }
        #[cfg(target_arch = "x86_64")]
        kernel_sets! { @set AVX512 Avx512 #[target_feature(enable = "avx512f")]
            $($name: fn($($arg: $ty),*) $(-> $out)? = $($kernel)::+;)* }
        #[cfg(target_arch = "x86_64")]
        kernel_sets! { @set AVX2 Avx2 #[target_feature(enable = "avx2,fma")]
            $($name: fn($($arg: $ty),*) $(-> $out)? = $($kernel)::+;)* }
        #[cfg(target_arch = "aarch64")]
        kernel_sets! { @set NEON Neon #[target_feature(enable = "neon")]
            $($name: fn($($arg: $ty),*) $(-> $out)? = $($kernel)::+;)* }
        kernel_sets! { @set PORTABLE Portable #[inline(never)]
            $($name: fn($($arg: $ty),*) $(-> $out)? = $($kernel)::+;)* }
    };
    (@set $static:ident $vector:ident #[$features:meta]
        $($name:ident: fn($($arg:ident: $ty:ty),*) $(-> $out:ty)? = $($kernel:ident)::+;)*) => {
        static $static: KernelSet = {
            $(
                #[$features]
                unsafe fn $name($($arg: $ty),*) $(-> $out)? {
                    // SAFETY: the caller's promise to the kernel; the features are enabled here.
                    unsafe { $($kernel)::+::<vector::$vector>($($arg),*) }
                }
            )*
            const LANES: usize = <vector::$vector as vector::Vector>::LANES;
            const PANEL_COLUMNS: usize = LANES * <vector::$vector as vector::Vector>::PANEL_VECTORS;
            KernelSet { isa: Isa::$vector, lanes: LANES, panel_columns: PANEL_COLUMNS, $($name,)* }
        };
    };
}

impl KernelSet {
    /// The kernels of an instruction set, or `None` if this machine cannot run it.
    pub fn of(isa: Isa) -> Option<&'static KernelSet> {
        if !isa.is_available() {
            return None;
        }
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Some(&AVX512),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Some(&AVX2),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Some(&NEON),
            Isa::Portable => Some(&PORTABLE),
            _ => None,
        }
    }

    /// The kernels of every instruction set that this machine can run, best first.
    #[cfg(test)]
    pub fn all() -> Vec<&'static KernelSet> {
        Isa::available().into_iter().filter_map(Self::of).collect()
    }
}

kernel_sets! {
    /// A matrix product; see [`gemm::gemm`].
    gemm: fn(call: &GemmCall) = gemm::gemm;
    /// Packs the rows of a matrix as columns of panels; call [`super::pack::pack_rows`].
    pack: fn(rows: *const f32, row_stride: usize, n: usize, k: usize, panels: *mut f32) = pack::pack;
    /// Lays planes into larger ones of zeros; call [`super::pad::Padded::copy`].
    pad: fn(padded: &Padded, rows: Range<usize>, from: *const f32, to: *mut f32) = pad::pad;
    /// One channel of a depthwise convolution; call [`super::conv::PackedConv::run`].
    depthwise: fn(call: &DepthwiseCall) = depthwise::depthwise;
    /// A line of a depthwise convolution with channels last; call [`super::conv::PackedConv::run`].
    channelwise: fn(call: &ChannelwiseCall) = channelwise::channelwise;
    /// See [`elementwise::unary`].
    unary: fn(op: UnaryOp, src: *const f32, dst: *mut f32, len: usize) = elementwise::unary;
    /// See [`elementwise::binary`].
    binary: fn(op: BinaryOp, a: RowOperand<f32>, b: RowOperand<f32>, dst: *mut f32, rows: usize, len: usize)
        = elementwise::binary;
    /// See [`norm::layer_norm`].
    layer_norm: fn(src: *const f32, dst: *mut f32, rows: usize, len: usize, epsilon: f32, weight: *const f32,
        bias: *const f32) = norm::layer_norm;
    /// See [`norm::rms_norm`].
    rms_norm: fn(src: *const f32, dst: *mut f32, rows: usize, len: usize, epsilon: f32, weight: *const f32)
        = norm::rms_norm;
    /// See [`norm::group_norm`].
    group_norm: fn(src: *const f32, dst: *mut f32, samples: usize, sizes: (usize, usize, usize), epsilon: f32,
        weight: *const f32, bias: *const f32) = norm::group_norm;
    /// See [`norm::channel_affine`].
    channel_affine: fn(src: *const f32, dst: *mut f32, sizes: (usize, usize, usize), scale: *const f32,
        shift: *const f32) = norm::channel_affine;
    /// See [`softmax::softmax`].
    softmax: fn(src: *const f32, dst: *mut f32, sizes: (usize, usize, usize)) = softmax::softmax;
    /// See [`softmax::log_softmax`].
    log_softmax: fn(src: *const f32, dst: *mut f32, sizes: (usize, usize, usize)) = softmax::log_softmax;
    /// See [`recurrent::cell`].
    cell: fn(call: &CellCall) = recurrent::cell;
    /// See [`reduce::reduce`].
    reduce: fn(op: ReduceOp, src: *const f32, dst: *mut f32, sizes: (usize, usize, usize)) = reduce::reduce;
    /// See [`copy::copy_f32`].
    copy_f32: fn(plane: Plane, src: *const f32, dst: *mut f32) = copy::copy_f32;
    /// See [`attention::attention`].
    attention: fn(args: &Attention) = attention::attention;
    /// See [`pool::max_pool`].
    max_pool: fn(src: *const f32, dst: *mut f32, planes: usize, rows: &PoolAxis, columns: &PoolAxis)
        = pool::max_pool;
    /// See [`pool::average_pool`].
    average_pool: fn(src: *const f32, dst: *mut f32, planes: usize, rows: &PoolAxis, columns: &PoolAxis,
        count_include_pad: bool) = pool::average_pool;
    /// See [`pool::max_pool_channels`].
    max_pool_channels: fn(src: *const f32, dst: *mut f32, lines: Range<usize>, channels: usize, rows: &PoolAxis,
        columns: &PoolAxis) = pool::max_pool_channels;
    /// See [`pool::average_pool_channels`].
    average_pool_channels: fn(src: *const f32, dst: *mut f32, lines: Range<usize>, channels: usize, rows: &PoolAxis,
        columns: &PoolAxis, count_include_pad: bool) = pool::average_pool_channels;
}
