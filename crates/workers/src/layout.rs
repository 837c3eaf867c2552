//! Where things lie in the memory that a worker and its parent share.
//!
//! ```text
//! words | submit ring | done ring | slots | arena
//! ```
//! A request in flight has a **slot**, which says what it is and how it ended, and a **block** of the arena with its inputs and room
//! for its outputs. The parent chooses both, and remembers them: what comes back through the done ring is a slot's number and
//! nothing else, and is checked against what the parent gave away.

use std::ops::Range;

use paceline_device::{Port, Signature};
use smallvec::SmallVec;

/// The end of the submit ring, written by the parent. Words that one side writes have cache lines of their own.
pub(crate) const SUBMIT_TAIL: usize = 0;
/// The end of the done ring, written by the worker.
pub(crate) const DONE_TAIL: usize = 128;
/// 1 when the worker sleeps and wants a byte through the socket.
pub(crate) const WORKER_BELL: usize = 256;
/// 1 when the parent does.
pub(crate) const PARENT_BELL: usize = 384;
/// Counted up by the parent.
pub(crate) const PING: usize = 512;
/// The last ping that the worker saw.
pub(crate) const PONG: usize = 640;
const RINGS: usize = 768;

/// Bytes of a slot.
const SLOT: usize = 512;
/// Bytes of text that a slot has room for.
pub(crate) const TEXT: usize = SLOT - slot::TEXT;
/// Inputs and outputs begin at multiples of a cache line.
const ALIGN: usize = 64;

/// Places in a slot.
pub(crate) mod slot {
    /// The model's number, a word.
    pub(crate) const MODEL: usize = 0;
    /// The variant's number, a word.
    pub(crate) const VARIANT: usize = 4;
    /// A wide word.
    pub(crate) const SAMPLES: usize = 8;
    /// A wide word: nanoseconds of the monotonic clock, which all processes share.
    pub(crate) const DEADLINE: usize = 16;
    /// Where the block begins in the arena, a wide word.
    pub(crate) const BLOCK: usize = 24;
    /// A word, signed.
    pub(crate) const PRIORITY: usize = 32;
    /// How the request ended, a word.
    pub(crate) const STATUS: usize = 64;
    /// A word.
    pub(crate) const LANE: usize = 68;
    /// Nanoseconds, a wide word.
    pub(crate) const WAITED: usize = 72;
    /// Bytes of text, a word.
    pub(crate) const TEXT_LENGTH: usize = 80;
    /// The request's number, a word, on which the caller may sleep.
    pub(crate) const CALLER: usize = 96;
    /// The number of the latest request that the worker took out of the slot, a word.
    pub(crate) const TAKEN: usize = 100;
    /// An error's text.
    pub(crate) const TEXT: usize = 128;
}

/// The places, which follow from two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) slots: u32,
    pub(crate) submit_capacity: u32,
    pub(crate) submit: usize,
    pub(crate) done_capacity: u32,
    pub(crate) done: usize,
    slot: usize,
    pub(crate) arena: usize,
    pub(crate) arena_bytes: usize,
}

impl Layout {
    /// The most slots.
    pub(crate) const MAX_SLOTS: u32 = 1 << 20;

    /// For so many requests in flight, whose inputs and outputs take so many bytes. `None` when memory cannot be that large.
    pub(crate) fn new(slots: u32, arena_bytes: usize) -> Option<Layout> {
        if slots == 0 || slots > Self::MAX_SLOTS {
            return None;
        }
        // A slot is at most three times in the submit ring (a withdrawal nobody looked at, the next request, its withdrawal), and once
        // in the done ring.
        let (submit_capacity, done_capacity) = ((4 * slots).next_power_of_two(), slots.next_power_of_two());
        let submit = RINGS;
        let done = submit + 4 * submit_capacity as usize;
        let slot = (done + 4 * done_capacity as usize).next_multiple_of(SLOT);
        let arena = (slot + SLOT * slots as usize).next_multiple_of(4096);
        arena.checked_add(arena_bytes).filter(|&bytes| bytes <= isize::MAX as usize)?;
        Some(Layout { slots, submit_capacity, submit, done_capacity, done, slot, arena, arena_bytes })
    }

    /// Bytes of all.
    pub(crate) fn bytes(&self) -> usize {
        self.arena + self.arena_bytes
    }

    /// Where a slot begins.
    pub(crate) fn slot(&self, slot: u32) -> usize {
        assert!(slot < self.slots, "slot {slot} of {}", self.slots);
        self.slot + SLOT * slot as usize
    }
}

/// Where the inputs and outputs of a request lie in its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) inputs: SmallVec<[Range<usize>; 2]>,
    pub(crate) outputs: SmallVec<[Range<usize>; 2]>,
    /// Of all, at least one.
    pub(crate) bytes: usize,
}

impl Block {
    /// For a request of so many samples; `None` when memory cannot hold it.
    pub(crate) fn of(signature: &Signature, samples: usize) -> Option<Block> {
        let mut end = 0usize;
        let mut place = |port: &Port| {
            let bytes = port.elements.checked_mul(port.dtype.size_bytes())?.checked_mul(samples)?;
            let range = end..end.checked_add(bytes)?;
            end = range.end.checked_next_multiple_of(ALIGN)?;
            Some(range)
        };
        let inputs = signature.inputs.iter().map(&mut place).collect::<Option<_>>()?;
        let outputs = signature.outputs.iter().map(&mut place).collect::<Option<_>>()?;
        Some(Block { inputs, outputs, bytes: end.max(ALIGN) })
    }
}

#[cfg(test)]
mod tests {
    use paceline_device::fake::port;
    use paceline_graph::DType;

    use super::*;

    #[test]
    fn nothing_overlaps() {
        for slots in [1, 3, 64, 1000] {
            let layout = Layout::new(slots, 10_000).unwrap();
            assert!(layout.submit >= PONG + 4);
            assert!(layout.done >= layout.submit + 4 * layout.submit_capacity as usize);
            assert!(layout.slot(0) >= layout.done + 4 * layout.done_capacity as usize);
            assert!(layout.arena >= layout.slot(slots - 1) + SLOT);
            assert_eq!(layout.bytes(), layout.arena + 10_000);
            assert!(layout.submit_capacity >= 3 * slots && layout.done_capacity >= slots);
        }
    }

    #[test]
    fn sizes_that_no_memory_has_are_refused() {
        for (slots, bytes) in [(0, 1), (Layout::MAX_SLOTS + 1, 1), (1, usize::MAX), (1, isize::MAX as usize)]
        {
            assert_eq!(Layout::new(slots, bytes), None, "{slots} {bytes}");
        }
    }

    #[test]
    fn a_block_has_aligned_places_for_every_input_and_output() {
        let inputs = vec![port("x", DType::F32, &[3]), port("mask", DType::Bool, &[])];
        let signature = Signature { inputs, outputs: vec![port("y", DType::I64, &[2])], batched: true };
        let block = Block::of(&signature, 10).unwrap();
        assert_eq!(block.inputs[..], [0..120, 128..138]);
        assert_eq!(block.outputs.as_slice(), std::slice::from_ref(&(192..352)));
        assert_eq!(block.bytes, 384);
        assert_eq!(Block::of(&signature, usize::MAX / 2), None);
    }
}
