//! The engine's scheduler beside others, in virtual time: `cargo run --release -p paceline-engine --features simulator --example
//! simulate [SCENARIO...] [--json] [--seed N]`. Without a scenario, all of them.
#![allow(clippy::print_stdout, reason = "a report is what it is for")]

use paceline_engine::simulator::{ClassReport, Report, Scenario, scenarios};
use serde_json::{Map, Value, json};

fn main() {
    let (mut names, mut as_json, mut seed) = (Vec::new(), false, 1);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => as_json = true,
            "--seed" => match arguments.next().and_then(|number| number.parse().ok()) {
                Some(number) => seed = number,
                None => return usage("--seed takes a number"),
            },
            _ => names.push(argument),
        }
    }
    let all = scenarios();
    if let Some(unknown) = names.iter().find(|&name| all.iter().all(|scenario| scenario.name != name)) {
        return usage(&format!("there is no scenario {unknown}"));
    }
    let chosen =
        all.iter().filter(|scenario| names.is_empty() || names.iter().any(|name| name == scenario.name));
    let reports: Vec<(&Scenario, Vec<Report>)> =
        chosen.map(|scenario| (scenario, scenario.run(seed))).collect();
    if as_json {
        let values: Vec<Value> = reports.iter().flat_map(|(_, reports)| reports).map(report_json).collect();
        println!("{:#}", json!({ "seed": seed, "reports": values }));
    } else {
        reports.iter().for_each(|(scenario, reports)| print_table(scenario, reports));
    }
}

fn usage(problem: &str) {
    println!("{problem}\nusage: simulate [SCENARIO...] [--json] [--seed N]; the scenarios:");
    for scenario in scenarios() {
        println!("  {:<16} {}", scenario.name, scenario.about);
    }
    std::process::exit(2);
}

fn print_table(scenario: &Scenario, reports: &[Report]) {
    println!("## {}\n{}; capacity {:.0} samples/s\n", scenario.name, scenario.about, reports[0].capacity);
    println!(
        "| scheduler | requests | offered | samples/s | in time | refused | shed | p50 us | p99 us | p99.9 us | max us | batch | busy | lane time |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|");
    for report in reports {
        let shares: Vec<String> = match &report.shares[..] {
            [_] => Vec::new(),
            shares => shares.iter().map(|(model, part)| format!("{model} {:.1} %", 100.0 * part)).collect(),
        };
        let whole =
            format!("{:.1} | {:.0} % | {}", report.mean_batch, 100.0 * report.occupancy, shares.join(", "));
        let classes = if report.classes.len() > 1 { &report.classes[..] } else { &[] };
        for (index, class) in std::iter::once(&report.all).chain(classes).enumerate() {
            let (name, whole) = if index == 0 { (&*report.scheduler, &*whole) } else { ("", "| |") };
            print_row(name, class, whole);
        }
    }
    println!();
}

fn print_row(name: &str, class: &ClassReport, whole: &str) {
    let ClassReport {
        class,
        offered,
        throughput,
        goodput,
        refused,
        shed,
        p50_us,
        p99_us,
        p999_us,
        max_us,
        ..
    } = class;
    println!(
        "| {name} | {class} | {offered} | {throughput:.0} | {goodput:.0} | {refused} | {shed} | {p50_us:.0} | {p99_us:.0} | {p999_us:.0} | {max_us:.0} | {whole} |"
    );
}

fn report_json(report: &Report) -> Value {
    let shares: Map<String, Value> =
        report.shares.iter().map(|(model, part)| (model.to_string(), json!(part))).collect();
    json!({
        "scenario": report.scenario,
        "scheduler": report.scheduler,
        "capacity_samples_per_s": report.capacity,
        "mean_batch": report.mean_batch,
        "occupancy": report.occupancy,
        "shares": shares,
        "all": class_json(&report.all),
        "classes": report.classes.iter().map(class_json).collect::<Vec<_>>(),
    })
}

fn class_json(class: &ClassReport) -> Value {
    json!({
        "class": class.class,
        "offered": class.offered,
        "answered": class.answered,
        "in_time": class.in_time,
        "refused": class.refused,
        "shed": class.shed,
        "throughput_samples_per_s": class.throughput,
        "goodput_samples_per_s": class.goodput,
        "p50_us": class.p50_us,
        "p99_us": class.p99_us,
        "p999_us": class.p999_us,
        "max_us": class.max_us,
    })
}
