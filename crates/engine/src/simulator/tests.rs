//! What must hold in every scenario.

use super::{Scenario, scenarios};

fn scenario(name: &str) -> Scenario {
    scenarios().into_iter().find(|scenario| scenario.name == name).expect(name)
}

#[test]
fn every_request_ends_exactly_once_and_no_lane_idles_while_one_waits() {
    for mut scenario in scenarios() {
        scenario.horizon /= 4;
        let (history, report) = scenario.run_paceline(7);
        assert!(!history.ended_twice, "{}", scenario.name);
        assert!(!history.idled, "{}", scenario.name);
        let lost = history.ends.iter().filter(|end| end.is_none()).count();
        assert_eq!(lost, 0, "{}", scenario.name);
        let all = report.all;
        assert_eq!(all.offered, all.answered + all.refused + all.shed, "{}", scenario.name);
        assert!(all.answered > 100, "{}", scenario.name);
    }
}
