//! How a batch is cut into chunks that fit the arena, and which callers' rows a chunk is made of.

use paceline_device::Part;

/// Some consecutive samples of a batch that are executed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// The part that its first sample is in.
    pub part: usize,
    /// Which of that part's samples that is.
    pub row: usize,
    pub samples: usize,
    /// Whether all its samples are in that one part.
    pub in_place: bool,
}

/// Samples of a chunk that lie in one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub part: usize,
    pub row: usize,
    pub samples: usize,
}

/// A position in a batch that moves forward.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    part: usize,
    row: usize,
    /// Samples not yet passed.
    left: usize,
}

impl Cursor {
    /// At the beginning of a batch of so many samples.
    pub fn new(samples: usize) -> Self {
        Cursor { part: 0, row: 0, left: samples }
    }

    /// At the beginning of a chunk, to its end.
    pub fn over(chunk: Chunk) -> Self {
        Cursor { part: chunk.part, row: chunk.row, left: chunk.samples }
    }

    /// Passes the next chunk of at most `limit` samples: in place when the part at hand fills a chunk or holds all that is left.
    /// What is cut, is cut evenly, so that no chunk is left with a few samples.
    pub fn next_chunk(&mut self, parts: &[Part<'_>], limit: usize) -> Option<Chunk> {
        let here = self.skip_finished_parts(parts)?;
        let in_place = here >= limit || here == self.left;
        let available = if in_place { here } else { self.left };
        let samples = available.div_ceil(available.div_ceil(limit));
        let chunk = Chunk { part: self.part, row: self.row, samples, in_place };
        let mut stretches = Cursor::over(chunk);
        while stretches.next_stretch(parts).is_some() {}
        *self = Cursor { left: self.left - samples, ..stretches };
        Some(chunk)
    }

    /// Passes the samples that lie in one part.
    pub fn next_stretch(&mut self, parts: &[Part<'_>]) -> Option<Stretch> {
        let samples = self.skip_finished_parts(parts)?.min(self.left);
        let stretch = Stretch { part: self.part, row: self.row, samples };
        self.row += samples;
        self.left -= samples;
        Some(stretch)
    }

    /// Samples left in the part at hand, once it has any; `None` when all are passed.
    fn skip_finished_parts(&mut self, parts: &[Part<'_>]) -> Option<usize> {
        if self.left == 0 {
            return None;
        }
        while parts[self.part].samples == self.row {
            (self.part, self.row) = (self.part + 1, 0);
        }
        Some(parts[self.part].samples - self.row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(samples: &[usize]) -> Vec<Part<'static>> {
        samples
            .iter()
            .map(|&samples| Part { samples, inputs: Default::default(), outputs: Default::default() })
            .collect()
    }

    fn chunks(samples: &[usize], limit: usize) -> Vec<(usize, usize, usize, bool)> {
        let parts = parts(samples);
        let mut cursor = Cursor::new(samples.iter().sum());
        std::iter::from_fn(|| cursor.next_chunk(&parts, limit))
            .map(|c| (c.part, c.row, c.samples, c.in_place))
            .collect()
    }

    #[test]
    fn chunks_are_even_and_in_place_where_one_caller_fills_them() {
        assert_eq!(chunks(&[], 4), []);
        assert_eq!(chunks(&[0, 0], 4), []);
        assert_eq!(chunks(&[3], 4), [(0, 0, 3, true)]);
        assert_eq!(chunks(&[5], 4), [(0, 0, 3, true), (0, 3, 2, true)]);
        assert_eq!(chunks(&[1, 0, 1, 1], 4), [(0, 0, 3, false)]);
        assert_eq!(chunks(&[1, 8], 4), [(0, 0, 3, false), (1, 2, 3, true), (1, 5, 3, true)]);
    }

    #[test]
    fn stretches_cover_a_chunk_exactly() {
        for limit in 1..9 {
            let samples = [2, 0, 1, 7, 1, 1, 0, 3];
            let parts = parts(&samples);
            let mut seen = vec![0; samples.len()];
            let mut cursor = Cursor::new(15);
            while let Some(chunk) = cursor.next_chunk(&parts, limit) {
                assert!((1..=limit).contains(&chunk.samples));
                let mut stretches = Cursor::over(chunk);
                let (mut count, mut total) = (0, 0);
                while let Some(stretch) = stretches.next_stretch(&parts) {
                    assert_eq!(seen[stretch.part], stretch.row);
                    seen[stretch.part] += stretch.samples;
                    (count, total) = (count + 1, total + stretch.samples);
                }
                assert_eq!(total, chunk.samples);
                assert!(!chunk.in_place || count == 1);
            }
            assert_eq!(seen, samples);
        }
    }
}
