//! Memory for arenas and packed weights: aligned to cache lines, in huge pages where it is large.
//!
//! Weights are read from end to end in every execution. With pages of 4 KB that is a miss of the translation look-aside
//! buffer every 64 cache lines; pages of 2 MB avoid most of them.

use memmap2::MmapMut;
use paceline_graph::Store;

/// One cache line, the alignment that kernels load best from.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE_BYTES]);

/// Bytes in a cache line.
const LINE_BYTES: usize = 64;
/// Bytes in a huge page, and the size from which a block asks for them.
const HUGE_BYTES: usize = 2 << 20;

/// Memory could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

/// A block of zeroed bytes, aligned to a cache line.
pub(crate) struct Block {
    memory: Memory,
    bytes: usize,
}

enum Memory {
    Lines(Vec<Line>),
    /// A mapping and where in it the first huge page begins.
    Pages(MmapMut, usize),
}

impl Block {
    /// `bytes` zeros.
    pub fn zeroed(bytes: usize) -> Result<Self, OutOfMemory> {
        let memory = if bytes < HUGE_BYTES {
            let mut lines = Vec::new();
            let count = bytes.div_ceil(LINE_BYTES);
            lines.try_reserve_exact(count).map_err(|_| OutOfMemory)?;
            lines.resize(count, Line([0; LINE_BYTES]));
            Memory::Lines(lines)
        } else {
            let length = bytes.checked_add(HUGE_BYTES).ok_or(OutOfMemory)?;
            let map = MmapMut::map_anon(length).map_err(|_| OutOfMemory)?;
            let start = map.as_ptr().align_offset(HUGE_BYTES);
            // Wishes: without them the memory is the same, in small pages. What does not fill a huge page has small ones, as the rest of
            // a huge one would be cleared, and taken, for nothing.
            #[cfg(target_os = "linux")]
            {
                let whole = bytes / HUGE_BYTES * HUGE_BYTES;
                let _ = map.advise_range(memmap2::Advice::HugePage, start, whole);
                let _ = map.advise_range(memmap2::Advice::NoHugePage, start + whole, length - start - whole);
            }
            Memory::Pages(map, start)
        };
        Ok(Block { memory, bytes })
    }

    /// A block without bytes.
    pub const fn empty() -> Self {
        Block { memory: Memory::Lines(Vec::new()), bytes: 0 }
    }

    /// Bytes it holds.
    pub fn len_bytes(&self) -> usize {
        self.bytes
    }

    /// The first byte.
    pub fn as_ptr(&self) -> *const u8 {
        match &self.memory {
            Memory::Lines(lines) => lines.as_ptr().cast(),
            Memory::Pages(map, start) => map[*start..].as_ptr(),
        }
    }

    /// The first byte.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        match &mut self.memory {
            Memory::Lines(lines) => lines.as_mut_ptr().cast(),
            Memory::Pages(map, start) => map[*start..].as_mut_ptr(),
        }
    }

    /// All bytes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `Store::bytes`, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr(), self.bytes) }
    }

    /// All bytes as values; a last incomplete one is left out.
    pub fn floats(&self) -> &[f32] {
        // SAFETY: `bytes` initialised bytes lie there, aligned to more than f32 needs; any bits are an f32.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), self.bytes / size_of::<f32>()) }
    }

    /// All bytes as values; a last incomplete one is left out.
    pub fn floats_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr().cast(), self.bytes / size_of::<f32>()) }
    }
}

impl Store for Block {
    fn bytes(&self) -> &[u8] {
        // SAFETY: so many initialised bytes lie there, and none changes while the block is borrowed.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.bytes) }
    }
}

/// `bytes` rounded up to whole cache lines; `None` on overflow.
pub(crate) fn whole_lines(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(LINE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_all_sizes_are_aligned_zeroed_and_writable() {
        for bytes in [0, 1, 63, 64, 65, 4096, HUGE_BYTES - 1, HUGE_BYTES, 3 * HUGE_BYTES + 5] {
            let mut block = Block::zeroed(bytes).unwrap();
            assert_eq!((block.len_bytes(), block.floats().len()), (bytes, bytes / 4));
            let alignment = if bytes < HUGE_BYTES { LINE_BYTES } else { HUGE_BYTES };
            assert_eq!(block.as_ptr().align_offset(alignment), 0);
            assert!(block.floats().iter().all(|&x| x == 0.0));
            block.floats_mut().fill(1.0);
            assert_eq!(block.floats().iter().sum::<f32>(), (bytes / 4) as f32);
        }
    }

    #[test]
    fn more_than_there_is_is_an_error() {
        assert!(Block::zeroed(usize::MAX).is_err());
        assert!(Block::zeroed(isize::MAX as usize).is_err());
    }
}
