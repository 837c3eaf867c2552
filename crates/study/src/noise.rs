//! What else happened on the machine while something was measured: from what the system counts for all processes, and what for ours.
//!
//! Linux only; elsewhere there is nothing to say.

use std::fs;

use serde::{Deserialize, Serialize};

/// From which share of all cores' time on other processes disturb what is measured.
pub const MUCH_FOREIGN: f64 = 0.03;
/// From which share of all cores' time on the hypervisor takes away too much.
pub const MUCH_STOLEN: f64 = 0.01;

/// What else happened, as shares of the time of all cores, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Other processes were executing.
    pub foreign: f64,
    /// The hypervisor let another machine execute while this one wanted to.
    pub stolen: f64,
}

impl Noise {
    /// Whether it is too much to trust a difference of a few per cent.
    pub fn is_much(&self) -> bool {
        self.foreign > MUCH_FOREIGN || self.stolen > MUCH_STOLEN
    }
}

/// The counters at the begin of something, in ticks of the system's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    all: Ticks,
    own: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    stolen: u64,
    total: u64,
}

impl Watch {
    /// Begins to watch; `None` where the system does not tell.
    pub fn begin() -> Option<Self> {
        let read = |path| fs::read_to_string(path).ok();
        Some(Watch { all: ticks(&read("/proc/stat")?)?, own: own_ticks(&read("/proc/self/stat")?)? })
    }

    /// What happened since, apart from this process and its children that have ended and been waited for.
    pub fn end(self) -> Option<Noise> {
        Some(self.until(Watch::begin()?))
    }

    fn until(self, end: Watch) -> Noise {
        let since = |of: fn(&Watch) -> u64| of(&end).saturating_sub(of(&self));
        let total = since(|watch| watch.all.total).max(1) as f64;
        let foreign = since(|watch| watch.all.busy).saturating_sub(since(|watch| watch.own));
        Noise { foreign: foreign as f64 / total, stolen: since(|watch| watch.all.stolen) as f64 / total }
    }
}

/// From `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal.
fn ticks(stat: &str) -> Option<Ticks> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let mut fields = line.split_whitespace().map(|field| field.parse::<u64>().ok());
    let mut next = || fields.next().flatten();
    let (user, nice, system, idle, iowait) = (next()?, next()?, next()?, next()?, next()?);
    let (irq, softirq, stolen) = (next()?, next()?, next().unwrap_or(0));
    let busy = user + nice + system + irq + softirq;
    Some(Ticks { busy, stolen, total: busy + idle + iowait + stolen })
}

/// From `/proc/self/stat`: fields 14 to 17, of this process and of its children that were waited for. The second field is the
/// program's name, in which anything may stand.
fn own_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().skip(11).take(4).map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_what_others_did() {
        let at = |stat: &str, own: &str| Watch { all: ticks(stat).unwrap(), own: own_ticks(own).unwrap() };
        let begin = at(
            "cpu  100 0 50 1000 10 0 0 5 0 0\ncpu0 1 2 3 4 5 6 7 8",
            "1 (a) b) c) S 2 3 4 5 6 7 8 9 10 11 60 20 15 5 20",
        );
        assert_eq!((begin.all.busy, begin.all.stolen, begin.all.total, begin.own), (150, 5, 1165, 100));
        // 1,000 ticks later, 300 of them busy, of which 240 are ours; 50 were stolen.
        let end = at("cpu 350 0 100 1640 20 0 0 55 0 0", "1 (x) S 2 3 4 5 6 7 8 9 10 11 60 30 200 50 20");
        let noise = begin.until(end);
        assert!((noise.foreign - 0.06).abs() < 1e-9 && (noise.stolen - 0.05).abs() < 1e-9, "{noise:?}");
        assert!(noise.is_much() && !Noise { foreign: 0.02, stolen: 0.0 }.is_much());
        assert_eq!(begin.until(begin), Noise::default());
    }

    #[test]
    fn what_is_not_understood_is_nothing() {
        for stat in ["", "cpu", "cpu  1 2 3", "cpu  a b c d e f g h", "intr 5"] {
            assert_eq!(ticks(stat), None, "{stat}");
        }
        for stat in ["", "1 a S 2", "1 (a) S x y z 1 2 3 4 5 6 7 b c d e f"] {
            assert_eq!(own_ticks(stat), None, "{stat}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_tells() {
        let noise = Watch::begin().unwrap().end().unwrap();
        assert!((0.0..=1.0).contains(&noise.foreign) && (0.0..=1.0).contains(&noise.stolen), "{noise:?}");
    }
}
