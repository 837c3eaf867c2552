//! Reports of results made by hand.

use paceline_device::Device;
use paceline_device::conformance::ReferenceDevice;

use super::*;
use crate::verify::Checked;
use crate::{
    Arrivals, Bound, Ceilings, Comparison, DeviceRow, Ended, EngineRow, Estimate, FlopsCeiling, LatencyUs,
    Limit, Load, Machine, Mode, ModelCost, Noise, Over, ReadCeiling, Shares, SoakSample, SuiteRun,
};

fn row(suite: Suite, mode: Mode, callers: usize, batch: usize, samples_per_s: f64) -> Row {
    let rounds: Vec<f64> =
        [0.98, 1.0, 1.02, 0.99, 1.01, 1.0].iter().map(|share| share * samples_per_s).collect();
    Row {
        suite: suite.to_string(),
        model: "mlp".into(),
        mode,
        callers,
        lanes: 2,
        workers: 0,
        batch,
        samples: samples_per_s as u64,
        seconds: 1.0,
        samples_per_s,
        latency_us: LatencyUs { mean: 10.0, p50: 9.0, p90: 100.0, p99: 1234.5, p99_9: 2000.0 },
        expected: 400,
        completed: 400,
        errors: 0,
        wrong: 0,
        interval: Estimate::of(&rounds),
        rounds,
        over: None,
        load: None,
        engine: matches!(mode, Mode::Engine | Mode::EngineAsync).then(counted),
    }
}

fn counted() -> EngineRow {
    let us = |mean, p50, p99| LatencyUs { mean, p50, p99, ..LatencyUs::default() };
    EngineRow {
        mean_batch: 3.25,
        executions: 4,
        released: [("inline".to_string(), 1), ("share".to_string(), 3)].into(),
        queue_us: us(20.0, 12.5, 345.0),
        execute_us: us(20.0, 17.0, 18.0),
        padding: 0,
        occupancy: 0.875,
    }
}

fn results(rows: Vec<Row>) -> Results {
    Results {
        machine: Machine { cpu: "a CPU".into(), cores: 2, memory_bytes: 8 << 30, os: "linux".into() },
        device: DeviceRow { id: "cpu".into(), name: "CPU".into(), isa: "avx2".into() },
        started: "2026-01-01T00:00:00Z".into(),
        rows,
        models: vec![ModelCost {
            model: "mlp".into(),
            flops_per_sample: 4_000_000,
            weight_bytes: 8_000_000,
            sample_bytes: 4096,
        }],
        ceilings: Some(Ceilings {
            flops: vec![
                FlopsCeiling { threads: 1, flops_per_s: 200e9 },
                FlopsCeiling { threads: 2, flops_per_s: 400e9 },
            ],
            read: vec![ReadCeiling { threads: 1, bytes: 8_000_000, bytes_per_s: 70e9 }],
        }),
        ..Results::begin("0.1.0", "abc", "paceline bench".into(), &ReferenceDevice.info())
    }
}

fn markdown(results: &Results) -> String {
    Report::new(results).markdown
}

/// Every suite of models, with each row next to the first of its suite.
fn study() -> Vec<Row> {
    let (t, b, c, w) = (Suite::Threads, Suite::Batches, Suite::Compare, Suite::Workload);
    let (mixed, saturation) = (Suite::Mixed, Suite::Saturation);
    let mut rows = vec![
        row(Suite::Ops, Mode::Sequential, 1, 1, 100.0),
        row(Suite::Ops, Mode::Engine, 8, 1, 250.0),
        row(Suite::Stress, Mode::Engine, 31, 1, 260.0),
        row(t, Mode::Sequential, 1, 1, 1000.0),
        row(t, Mode::Threads, 2, 1, 1900.0),
        row(t, Mode::Threads, 8, 1, 2000.0),
        row(t, Mode::Engine, 2, 1, 1800.0),
        row(t, Mode::Engine, 8, 1, 5000.0),
        row(t, Mode::EngineAsync, 2, 1, 1900.0),
        row(t, Mode::EngineAsync, 64, 1, 9000.0),
        row(w, Mode::Sequential, 1, 1, 1000.0),
        row(w, Mode::Threads, 8, 1, 1500.0),
        row(b, Mode::Sequential, 1, 1, 2000.0),
        row(b, Mode::Batch, 1, 8, 9500.0),
        row(b, Mode::Batch, 1, 32, 9990.0),
        row(b, Mode::Batch, 1, 64, 10_000.0),
        row(c, Mode::Sequential, 1, 1, 1000.0),
        row(c, Mode::Threads, 2, 1, 1800.0),
        row(c, Mode::Batch, 1, 2, 2400.0),
        row(c, Mode::Engine, 2, 1, 1700.0),
        row(c, Mode::EngineAsync, 2, 1, 1750.0),
        row(mixed, Mode::Sequential, 1, 1, 500.0),
        row(mixed, Mode::Engine, 8, 1, 900.0),
        row(saturation, Mode::EngineAsync, 1, 1, 1000.0),
        row(saturation, Mode::HandOff, 1, 1, 90_000.0),
        row(saturation, Mode::EngineAsync, 64, 1, 9000.0),
        row(saturation, Mode::EngineOpen, 1, 1, 4500.0),
        row(saturation, Mode::EngineOpen, 1, 1, 8100.0),
    ];
    for (index, share) in [(26, 0.5), (27, 0.9)] {
        let (arrivals, offered_per_s) = (Arrivals::Poisson, 9000.0 * share);
        let load =
            Load { arrivals, offered_per_s, sent_per_s: offered_per_s, share, refused: 3, late_p90_us: 7.0 };
        rows[index].load = Some(load);
    }
    for row in rows.iter_mut().filter(|row| row.suite == "mixed") {
        row.model = "speech + translation".into();
    }
    for row in rows.iter_mut().filter(|row| row.suite == "ops") {
        row.model = "Linear".into();
    }
    let baselines = rows.clone();
    for row in rows.iter_mut().filter(|row| row.mode != Mode::Sequential && row.load.is_none()) {
        let Some(baseline) = baselines.iter().find(|b| b.suite == row.suite && b.mode == Mode::Sequential)
        else {
            continue;
        };
        let parallelism = (row.callers * row.batch) as f64;
        row.over = Over::new("sequential".into(), &row.rounds, &baseline.rounds, parallelism);
    }
    rows
}

fn whole() -> Results {
    let mut results = results(study());
    let shares = Shares { compute: 0.9, memory: 0.2, hand_off: 0.1 };
    results.bounds.push(Bound {
        model: "mlp".into(),
        callers: 64,
        samples_per_s: 9000.0,
        mean_batch: 16.0,
        bound: Limit::Compute,
        shares,
    });
    for second in 0..30 {
        let sample = SoakSample {
            seconds: f64::from(second),
            samples_per_s: 5e3,
            memory_bytes: 50 << 20,
            descriptors: 9,
            threads: 12,
        };
        results.soak.push(sample);
    }
    results.rows.push(row(Suite::Soak, Mode::Engine, 18, 1, 5e3));
    results
}

/// However wide the columns are.
fn has(text: &str, fragments: &[&str]) {
    let narrow = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for fragment in fragments {
        assert!(narrow(text).contains(&narrow(fragment)), "expected `{fragment}` in:\n{text}");
    }
}

#[test]
fn ratios_are_to_the_baseline_of_the_row() {
    let text = markdown(&results(study()));
    has(
        &text,
        &[
            "paceline 0.1.0 (abc): `paceline bench`",
            "a CPU, 2 cores, 8.0 GiB, linux",
            "all 11,200 answers are, bit for bit",
            "| Linear | 400/400 | 9.00 | 9.00 | 250 | ok |",
            "| mlp | 31 | 400/400 | 260 | 9.00 | 1,234 | ok |",
            "| threads | 2 | 1 | 1,900 | 2 % | 1.90x | 95 % | 9.00 | 1,234 |",
            "(2 lanes). `engine-async`",
            "| engine-async | 64 | 3.25 | 25 % | 88 % | 12.5 | 345 | 17.0 |",
            "| batch | 1 | 64 | 10,000 | 2 % | 5.00x | 8 % |",
            "### mlp: sequential 1,000 samples/s",
            "| 2 | 1,800 | 1.80x | 2,400 | 2.40x | 1,700 | 1.70x | 1,750 | 1.33 | ok |",
            "| mlp | 4,000,000 | threads 8 | 1,500 | 1.50x | 1.50 to 1.50 | ok |",
        ],
    );
}

#[test]
fn saturation_and_long_loads_have_their_tables() {
    has(
        &markdown(&whole()),
        &[
            "| mlp | 64 | 9,000 | 16.0 | 90 % | 20 % | 10 % | compute |",
            "| multiply-adds | 2 | 400 GFLOP/s |",
            "| reading 8.00 MB | 1 | 70.0 GB/s |",
            "| poisson | 90 % | 8,100 | 9.00 | 100 | 1,234 | 2,000 | 3 | 7.00 | ok |",
            "| 29.0 | 5,000 | 50.0 | 9 | 12 |",
        ],
    );
}

#[test]
fn tables_fit_a_terminal() {
    let mut results = whole();
    for row in &mut results.rows {
        row.samples_per_s *= 1e3;
        row.callers = if row.callers == 8 { 1024 } else { row.callers };
        row.latency_us.p50 = 12_345.0;
        row.latency_us.p99 = 99_999.0;
        if let Some(engine) = &mut row.engine {
            (engine.queue_us, engine.execute_us) = (row.latency_us, row.latency_us);
            (engine.mean_batch, engine.occupancy) = (999.9, 1.0);
        }
        row.model = if row.suite == "ops" { "nn.TransformerEncoderLayer" } else { "translation" }.into();
    }
    for line in markdown(&results).lines().filter(|line| line.starts_with('|')) {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn the_recommendation_is_the_least_of_what_is_as_good() {
    has(
        &markdown(&results(study())),
        &[
            // Within the noise of batch 64.
            "| mlp | throughput | batch 32, one session | 9,990 |",
            "| mlp | streams | engine, 8 callers, 2 lanes | 5,000 |",
            "| mlp | latency | one sample at a time |",
        ],
    );
    // What is faster by more than the noise is not given up for less; what is wrong is not recommended.
    let mut rows = study();
    for round in &mut rows[15].rounds {
        *round *= 1.1;
    }
    (rows[15].samples_per_s, rows[15].interval) = (11_000.0, Estimate::of(&rows[15].rounds));
    has(&markdown(&results(rows.clone())), &["| mlp | throughput | batch 64, one session | 11,000 |"]);
    rows[15].wrong = 1;
    has(&markdown(&results(rows)), &["| mlp | throughput | batch 32, one session | 9,990 |"]);
    let only_ops: Vec<Row> = study().into_iter().filter(|row| row.suite == "ops").collect();
    assert!(!markdown(&results(only_ops)).contains("Recommendation"));
}

#[test]
fn noise_is_told_with_how_it_is_known() {
    let quiet = |text: &str| !text.contains("The machine was");
    let mut rows = study();
    rows[12].samples_per_s = 1000.0;
    assert!(quiet(&markdown(&results(rows.clone()))));
    has(
        &markdown(&results(study())),
        &["`sequential` of mlp gave 1,000 samples/s in one suite and 2,000 in another"],
    );
    let mut noisy = results(rows.clone());
    let run = |noise| SuiteRun { suite: "threads".into(), seconds: 3.0, ended: Ended::Done, noise };
    noisy.suites.push(run(Some(Noise { foreign: 0.02, stolen: 0.0 })));
    assert!(quiet(&markdown(&noisy)));
    let short = SuiteRun { seconds: 0.1, ..run(Some(Noise { foreign: 0.9, stolen: 0.0 })) };
    noisy.suites.push(short);
    assert!(quiet(&markdown(&noisy)));
    noisy.suites.push(run(Some(Noise { foreign: 0.2, stolen: 0.03 })));
    has(
        &markdown(&noisy),
        &["while `threads` was measured, other processes took 20 %", "hypervisor took 3 %"],
    );
    for row in &mut rows {
        row.interval = row.interval.map(|interval| Estimate { low: interval.median / 2.0, ..interval });
    }
    has(&markdown(&results(rows)), &["half of the intervals are wider than ± 26 % of their rate"]);
}

#[test]
fn wrong_answers_are_not_hidden() {
    let mut rows = study();
    (rows[4].wrong, rows[7].errors, rows[7].completed) = (3, 1_000, 0);
    let mut results = results(rows);
    results.problems.push("'t6': cpu cannot run it".into());
    assert!(!results.are_right());
    let Report { markdown, html, .. } = Report::new(&results);
    for text in [&markdown, &html] {
        has(text, &["2 of 28 measurements have wrong or missing answers", "cpu cannot run it", "3 WRONG"]);
    }
    has(
        &markdown,
        &[
            "- **'t6': cpu cannot run it**",
            "**threads, n 2, batch 1: 3 WRONG**",
            "**engine, n 8, batch 1: 1,000 ERRORS**",
        ],
    );
}

#[test]
fn two_runs_are_told_apart_in_a_table() {
    let (first, mut second) = (results(study()), results(study()));
    for (index, factor) in [(4, 2.0), (15, 0.5), (7, 1.01)] {
        let row = &mut second.rows[index];
        row.rounds.iter_mut().for_each(|round| *round *= factor);
        row.samples_per_s *= factor;
        row.interval = Estimate::of(&row.rounds);
    }
    second.rows.pop();
    let both = Comparison::new(&first, &second);
    let text = comparison(&both, false);
    has(
        &text,
        &[
            "Of 27 measurements that both have, B is faster in 1 and slower in 1; 25 differ by no more",
            "Only A has 1 more, only B 0",
            "| batches | mlp | batch | 1 | 64 | 10,000 | 2 % | 5,000 | 2 % | 0.50x | slower |",
            "| threads | mlp | threads | 2 | 1 | 1,900 | 2 % | 3,800 | 2 % | 2.00x | faster |",
        ],
    );
    assert!(text.find("slower |") < text.find("faster |") && !text.contains("same |"), "{text}");
    assert_eq!(comparison(&both, true).matches("| same").count(), 25);
}

#[test]
fn a_verification_lists_every_problem() {
    let checked = |name: &str, right: u64, problems: &[&str]| Checked {
        kind: "operator".into(),
        name: name.into(),
        cases: 3,
        expected: 1200,
        right,
        errors: 0,
        wrong: 1200 - right,
        ops_per_s: 51234.0,
        problems: problems.iter().map(|p| p.to_string()).collect(),
    };
    let good = verification(&[checked("Linear", 1200, &[])]);
    has(
        &good,
        &["| operator | Linear |      3 | 1,200/1,200 | 51,234 |     ok |", "1,200 of 1,200 answers right"],
    );
    let bad = verification(&[checked("Linear", 1200, &[]), checked("Conv", 1199, &["Conv/a: 1 wrong"])]);
    has(&bad, &["1,199/1,200", "1 of 2 operators", "- Conv/a: 1 wrong"]);
}

#[test]
fn results_survive_json() {
    let results = whole();
    let json = results.to_json();
    assert!(json.contains(r#""mode":"engine-async""#) && !json.contains("problems"));
    assert_eq!(
        json.lines().filter(|line| line.contains("\"suite\":")).count(),
        results.rows.len(),
        "a row a line"
    );
    assert_eq!(Results::from_json(&json).unwrap().to_json(), json);
}

#[test]
fn results_of_earlier_versions_are_read() {
    let latency = r#"{"mean": 1, "p50": 1, "p99": 1}"#;
    let before = format!(
        r#"{{"schema": "paceline.study/1", "version": "0", "commit": "c", "command": "paceline bench", "started": "t",
        "machine": {{"cpu": "a", "cores": 2, "memory_bytes": 5, "os": "linux"}}, "device": {{"id": "cpu", "name": "n", "isa": "i"}},
        "rows": [{{"suite": "threads", "model": "m", "mode": "engine", "callers": 1, "lanes": 1, "workers": 0, "batch": 1,
        "samples": 1, "seconds": 1, "samples_per_s": 1, "latency_us": {latency}, "expected": 1, "completed": 1, "errors": 0,
        "wrong": 0}}]}}"#
    );
    let results = Results::from_json(&before).unwrap();
    assert_eq!((results.rows[0].engine.as_ref(), results.rows[0].interval), (None, None));
    assert!(Report::new(&results).markdown.contains("### m"));
    for (text, problem) in [
        (&before[..before.len() - 9], "got: "),
        ("[1, 2]", "got: "),
        ("", "got: "),
        ("{}", "expected the schema paceline.study/1, got none"),
        (r#"{"schema": "paceline.verify/1", "rows": []}"#, "got paceline.verify/1"),
        (r#"{"schema": "paceline.study/1", "rows": []}"#, "missing field"),
    ] {
        let error = Results::from_json(text).unwrap_err().to_string();
        assert!(error.contains(problem), "{text}: {error}");
    }
}

/// Checks that tags are closed in order, and attributes quoted; returns the tags.
fn well_formed(text: &str, what: &str) -> Vec<String> {
    const VOID: [&str; 3] = ["meta", "input", "br"];
    let (mut open, mut tags) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').unwrap_or_else(|| panic!("{what}: a tag without an end: {rest:.80}"));
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if tag.starts_with('!') {
            continue;
        }
        assert!(tag.matches('"').count().is_multiple_of(2), "{what}: <{tag}>");
        let name: String = tag.trim_start_matches('/').chars().take_while(|c| c.is_alphanumeric()).collect();
        match tag {
            _ if tag.starts_with('/') => assert_eq!(open.pop().as_deref(), Some(&*name), "{what}: <{tag}>"),
            _ if tag.ends_with('/') || VOID.contains(&&*name) => {}
            _ => open.push(name.clone()),
        }
        // What is in these is no markup.
        if tag == "script" || tag == "style" {
            rest = &rest[rest.find(&format!("</{name}>")).unwrap_or_else(|| panic!("{what}: {name}"))..];
        }
        tags.push(tag.to_string());
    }
    assert!(open.is_empty(), "{what}: not closed: {open:?}");
    tags
}

#[test]
fn pages_and_plots_are_well_formed_and_need_nothing_else() {
    let mut results = whole();
    results.command = "paceline bench --out '<b>&\"'".into();
    let Report { html, plots, .. } = Report::new(&results);
    let tags = well_formed(&html, "index.html");
    let count = |name: &str| tags.iter().filter(|tag| tag.starts_with(name)).count();
    assert_eq!(count("figure"), count("svg xmlns"), "a picture in every figure");
    assert!(
        count("svg xmlns") >= 12 && count("table") >= count("svg xmlns") + 8,
        "{} pictures",
        count("svg xmlns")
    );
    assert!(!html.contains("<b>&"), "what comes from outside is escaped");
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        let found = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(outside), "{outside} in the page");
    }
    let mut ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "every id is unique");
    assert_eq!(plots.len(), 13, "{:?}", plots.iter().map(|(name, _)| name).collect::<Vec<_>>());
    for (name, svg) in &plots {
        let tags = well_formed(svg, name);
        assert!(tags[0].starts_with("svg xmlns=\"http://www.w3.org/2000/svg\""), "{name}");
        assert!(svg.contains("prefers-color-scheme:dark") && svg.contains("class=\"paper\""), "{name}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
    }
}

#[test]
fn numbers_that_are_none_spoil_no_plot() {
    let mut results = whole();
    for row in results.rows.iter_mut().filter(|row| row.mode != Mode::Sequential) {
        (row.samples_per_s, row.latency_us.p99) = (0.0, f64::NAN);
        row.interval = None;
        row.over = None;
    }
    let Report { html, plots, .. } = Report::new(&results);
    well_formed(&html, "index.html");
    assert!(plots.iter().all(|(_, svg)| !svg.contains("NaN") && !svg.contains("inf")));
    well_formed(&Report::new(&super::tests::results(Vec::new())).html, "a page of nothing");
}

#[test]
fn rows_stand_by_suite() {
    let mut results = results(Vec::new());
    for row in [16, 3, 0, 12, 4, 1].map(|index| study()[index].clone()) {
        results.add(&crate::Measurement { row, first_error: None, trace: Default::default() });
    }
    let order: Vec<_> = results.rows.iter().map(|row| (row.suite.as_str(), row.mode)).collect();
    let expected = [
        ("ops", Mode::Sequential),
        ("ops", Mode::Engine),
        ("threads", Mode::Sequential),
        ("threads", Mode::Threads),
        ("batches", Mode::Sequential),
        ("compare", Mode::Sequential),
    ];
    assert_eq!(order, expected);
}
