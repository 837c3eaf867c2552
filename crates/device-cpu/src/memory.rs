//! Memory aligned to cache lines: arenas and packed weights.

use std::collections::TryReserveError;

/// One cache line, the alignment that kernels load best from.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Bytes in a cache line.
pub(crate) const LINE_BYTES: usize = size_of::<Line>();

/// A growable block of bytes, aligned to a cache line, initialised with zeros.
#[derive(Debug, Default)]
pub(crate) struct Block(Vec<Line>);

impl Block {
    /// Grows to at least `bytes`. The contents are unspecified afterwards; the address may change.
    pub fn grow(&mut self, bytes: usize) -> Result<(), TryReserveError> {
        let lines = bytes.div_ceil(LINE_BYTES);
        if lines > self.0.len() {
            let mut larger = Vec::new();
            larger.try_reserve_exact(lines)?;
            larger.resize(lines, Line([0; 64]));
            self.0 = larger;
        }
        Ok(())
    }

    /// The first byte.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

/// `bytes` rounded up to whole cache lines; `None` on overflow.
pub(crate) fn whole_lines(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(LINE_BYTES)
}
