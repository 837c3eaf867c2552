//! The suite on devices that are right, and on devices that are not.

use std::collections::HashSet;
use std::time::Instant;

use super::*;

#[test]
fn the_reference_passes_its_own_suite() {
    let options = Options { max_samples: 5, threads: 2, executions: 2, ..Options::default() };
    let mut last = Instant::now();
    let mut times = Vec::new();
    let cases = cases();
    eprintln!("{} cases, {:?}", cases.len(), last.elapsed());
    let report = run_cases(&ReferenceDevice, &cases, &options, &mut |outcome| {
        times.push((last.elapsed(), outcome.case.clone(), outcome.check));
        last = Instant::now();
    });
    times.sort();
    for t in times.iter().rev().take(30) {
        eprintln!("{t:?}");
    }
    report.assert_clean();
}

#[test]
fn names_are_unique_and_have_a_subject() {
    let mut names = HashSet::new();
    for case in &cases() {
        assert!(names.insert(case.name().to_string()), "two cases are called '{}'", case.name());
        assert!(case.name().contains('/'), "'{}' does not say what it tests", case.name());
    }
}
