//! When lanes are free: what each of them still has to do of what it executes.

use smallvec::SmallVec;

use crate::clock::Nanos;

/// The predicted time left of each lane's execution; 0 for a lane that is idle or should be done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ahead(SmallVec<[Nanos; 8]>);

impl FromIterator<Nanos> for Ahead {
    fn from_iter<I: IntoIterator<Item = Nanos>>(lanes: I) -> Self {
        let mut left: SmallVec<[Nanos; 8]> = lanes.into_iter().collect();
        left.sort_unstable();
        Ahead(left)
    }
}

impl Ahead {
    /// How long it takes until a lane is free for what comes behind `backlog`, the time of one lane for all that waits before it:
    /// lanes that are done early take more of it.
    pub(crate) fn wait(&self, backlog: Nanos) -> Nanos {
        let mut work = backlog;
        for (index, &left) in self.0.iter().enumerate() {
            work = work.saturating_add(left);
            let level = work / (index as Nanos + 1);
            if self.0.get(index + 1).is_none_or(|&next| level <= next) {
                return level;
            }
        }
        backlog
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_lane_to_be_free_takes_it() {
        let cases: [(&[Nanos], Nanos, Nanos); 8] = [
            (&[], 7, 7),
            (&[0], 7, 7),
            (&[5], 7, 12),
            (&[0, 0], 8, 4),
            (&[3000, 0], 0, 0),
            (&[3000, 20], 0, 20),
            (&[3000, 20], 100, 120),
            (&[10, 20, 1000], 30, 30),
        ];
        for (lanes, backlog, expected) in cases {
            let ahead: Ahead = lanes.iter().copied().collect();
            assert_eq!(ahead.wait(backlog), expected, "{lanes:?} and {backlog}");
        }
    }

    proptest! {
        #[test]
        fn it_is_when_lanes_that_share_the_backlog_are_done(
            lanes in prop::collection::vec(0u64..1000, 1..9),
            backlog in 0u64..5000,
        ) {
            let wait = lanes.iter().copied().collect::<Ahead>().wait(backlog);
            let room = |until: Nanos| lanes.iter().map(|&left| until.saturating_sub(left)).sum::<Nanos>();
            prop_assert!(room(wait) <= backlog);
            prop_assert!(backlog < room(wait + 1) || lanes.iter().all(|&left| left > wait));
        }
    }
}
