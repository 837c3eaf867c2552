//! A ring of small numbers from one process to the other. Each side keeps its own end to itself; only the producer's end is shared.
//!
//! It cannot overflow: what may be on the way is bounded by the protocol ([`Layout`](crate::layout::Layout)), so that the producer
//! need not believe anything that the consumer says.

use std::sync::atomic::Ordering;

use crate::region::Region;

/// The end that puts in.
pub(crate) struct Producer {
    tail_at: usize,
    entries_at: usize,
    capacity: u32,
    tail: u32,
}

/// The end that takes out.
pub(crate) struct Consumer {
    tail_at: usize,
    entries_at: usize,
    capacity: u32,
    head: u32,
}

/// The other side's end of the ring is where it cannot be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;

impl Producer {
    pub(crate) fn new(tail_at: usize, entries_at: usize, capacity: u32) -> Self {
        Producer { tail_at, entries_at, capacity, tail: 0 }
    }

    /// Puts one in. Pairs with the acquire in [`Consumer::pop`].
    pub(crate) fn push(&mut self, region: &Region, entry: u32) {
        let at = self.entries_at + 4 * (self.tail & (self.capacity - 1)) as usize;
        region.word(at).store(entry, Ordering::Relaxed);
        self.tail = self.tail.wrapping_add(1);
        region.word(self.tail_at).store(self.tail, Ordering::Release);
    }
}

impl Consumer {
    pub(crate) fn new(tail_at: usize, entries_at: usize, capacity: u32) -> Self {
        Consumer { tail_at, entries_at, capacity, head: 0 }
    }

    /// The next one, if there is one. Pairs with the release in [`Producer::push`].
    pub(crate) fn pop(&mut self, region: &Region) -> Result<Option<u32>, Corrupt> {
        let waiting = region.word(self.tail_at).load(Ordering::Acquire).wrapping_sub(self.head);
        if waiting == 0 {
            return Ok(None);
        }
        if waiting > self.capacity {
            return Err(Corrupt);
        }
        let at = self.entries_at + 4 * (self.head & (self.capacity - 1)) as usize;
        self.head = self.head.wrapping_add(1);
        Ok(Some(region.word(at).load(Ordering::Relaxed)))
    }

    /// What the shared word is while the ring is empty.
    pub(crate) fn head(&self) -> u32 {
        self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> (Region, Producer, Consumer) {
        (Region::create(4096).unwrap(), Producer::new(0, 128, 8), Consumer::new(0, 128, 8))
    }

    #[test]
    fn first_in_first_out_across_the_end_of_the_numbers() {
        let (region, mut producer, mut consumer) = ring();
        (producer.tail, consumer.head) = (u32::MAX - 3, u32::MAX - 3);
        region.word(0).store(u32::MAX - 3, Ordering::Relaxed);
        for round in 0..5 {
            assert_eq!(consumer.pop(&region), Ok(None));
            (0..8).for_each(|i| producer.push(&region, 8 * round + i));
            (0..8).for_each(|i| assert_eq!(consumer.pop(&region), Ok(Some(8 * round + i))));
        }
    }

    #[test]
    fn an_end_that_cannot_be_is_found() {
        for scribbled in [9, 1 << 31, u32::MAX] {
            let (region, _, mut consumer) = ring();
            region.word(0).store(scribbled, Ordering::Relaxed);
            assert_eq!(consumer.pop(&region), Err(Corrupt), "{scribbled}");
        }
    }
}
