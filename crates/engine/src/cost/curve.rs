//! From the sizes that were measured to all sizes, and of these to the ones worth choosing.

use super::Cost;

/// What a batch costs the engine beside its execution; it keeps batches of one from looking as good as larger ones where
/// the device takes next to nothing.
const HAND_OVER_NS: f64 = 3_000.0;

/// Samples per second that the engine gets out of executions of this size and mean time.
pub(crate) fn rate(samples: usize, mean_ns: f64) -> f64 {
    samples as f64 / (mean_ns + HAND_OVER_NS)
}

/// All sizes up to 32, then steps that double with the size: about eight between a power of two and the next.
pub(super) fn grid(max: usize) -> Vec<usize> {
    let (mut sizes, mut size) = (Vec::new(), 1);
    while size < max {
        sizes.push(size);
        size = size.saturating_add(if size < 32 { 1 } else { (1 << size.ilog2()) / 8 });
    }
    sizes.push(max);
    sizes
}

/// The cost of every size from those that are known. Above the largest known, it grows with the samples.
pub(super) fn interpolate(sizes: &[usize], points: &[Option<Cost>], buckets: bool) -> Vec<Cost> {
    let known: Vec<(usize, Cost)> =
        sizes.iter().zip(points).filter_map(|(&size, point)| Some((size, (*point)?))).collect();
    if known.is_empty() {
        return Vec::new();
    }
    let at = |size: usize| {
        let above = known.partition_point(|&(other, _)| other < size);
        match (above.checked_sub(1).map(|below| known[below]), known.get(above)) {
            (_, Some(&(exact, cost))) if exact == size => cost,
            (Some((s0, c0)), Some(&(s1, c1))) if !buckets => {
                let part = (size - s0) as f64 / (s1 - s0) as f64;
                Cost {
                    mean_ns: c0.mean_ns + part * (c1.mean_ns - c0.mean_ns),
                    p99_ns: c0.p99_ns + part * (c1.p99_ns - c0.p99_ns),
                }
            }
            (_, Some(&(_, cost))) => cost,
            (Some((largest, cost)), None) => {
                let scale = size as f64 / largest as f64;
                Cost { mean_ns: cost.mean_ns * scale, p99_ns: cost.p99_ns * scale }
            }
            (None, None) => unreachable!("at least one size is known"),
        }
    };
    sizes.iter().map(|&size| at(size)).collect()
}

/// The indices of sizes that no larger one beats in time, and no smaller one in samples per second.
pub(super) fn frontier(sizes: &[usize], curve: &[Cost]) -> Vec<usize> {
    let mut least = f64::INFINITY;
    let mut quick: Vec<usize> = (0..curve.len())
        .rev()
        .filter(|&i| {
            let quicker = curve[i].mean_ns < least;
            least = least.min(curve[i].mean_ns);
            quicker
        })
        .collect();
    quick.reverse();
    let mut best = 0.0;
    quick.retain(|&i| {
        let this = rate(sizes[i], curve[i].mean_ns);
        let better = this > best;
        best = f64::max(best, this);
        better
    });
    quick
}
