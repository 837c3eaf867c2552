//! Reports of results made by hand.

use super::*;
use crate::verify::Checked;
use crate::{DeviceRow, EngineRow, LatencyUs, Machine, Mode, SCHEMA};

fn row(suite: Suite, mode: Mode, callers: usize, batch: usize, samples_per_s: f64) -> Row {
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
        latency_us: LatencyUs { mean: 10.0, p50: 9.0, p99: 1234.5 },
        expected: 400,
        completed: 400,
        errors: 0,
        wrong: 0,
        engine: matches!(mode, Mode::Engine | Mode::EngineAsync).then(counted),
    }
}

fn counted() -> EngineRow {
    EngineRow {
        mean_batch: 3.25,
        executions: 4,
        released: [("inline".to_string(), 1), ("share".to_string(), 3)].into(),
        queue_us: LatencyUs { mean: 20.0, p50: 12.5, p99: 345.0 },
        execute_us: LatencyUs { mean: 20.0, p50: 17.0, p99: 18.0 },
        padding: 0,
        occupancy: 0.875,
    }
}

fn results(rows: Vec<Row>) -> Results {
    Results {
        schema: SCHEMA.into(),
        version: "0.1.0".into(),
        commit: "abc".into(),
        command: "paceline bench".into(),
        started: "2026-01-01T00:00:00Z".into(),
        machine: Machine { cpu: "a CPU".into(), cores: 2, memory_bytes: 8 << 30, os: "linux".into() },
        device: DeviceRow { id: "cpu".into(), name: "CPU".into(), isa: "avx2".into() },
        rows,
        problems: Vec::new(),
    }
}

fn study() -> Vec<Row> {
    let (t, b, c) = (Suite::Threads, Suite::Batches, Suite::Compare);
    vec![
        row(Suite::Ops, Mode::Sequential, 1, 1, 100.0),
        row(Suite::Ops, Mode::Engine, 8, 1, 250.0),
        row(t, Mode::Sequential, 1, 1, 1000.0),
        row(t, Mode::Threads, 2, 1, 1900.0),
        row(t, Mode::Engine, 8, 1, 5000.0),
        row(t, Mode::EngineAsync, 64, 1, 9000.0),
        row(b, Mode::Sequential, 1, 1, 2000.0),
        row(b, Mode::Batch, 1, 8, 9500.0),
        row(b, Mode::Batch, 1, 64, 10_000.0),
        row(c, Mode::Sequential, 1, 1, 1000.0),
        row(c, Mode::Threads, 2, 1, 1800.0),
        row(c, Mode::Batch, 1, 2, 2400.0),
        row(c, Mode::Engine, 2, 1, 1700.0),
    ]
}

/// However wide the columns are.
fn has(text: &str, fragments: &[&str]) {
    let narrow = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for fragment in fragments {
        assert!(narrow(text).contains(&narrow(fragment)), "expected `{fragment}` in:\n{text}");
    }
}

#[test]
fn ratios_are_to_the_sequential_row_of_the_same_suite() {
    let text = markdown(&results(study()));
    has(
        &text,
        &[
            "paceline 0.1.0 (abc): `paceline bench`",
            "a CPU, 2 cores, 8.0 GiB, linux",
            "all 5,200 answers are, bit for bit",
            "| mlp | 400/400 | 9.00 | 9.00 | 250 | ok |",
            "| threads | 2 | 1 | 1,900 | 1.90x | 95 % | 9.00 | 1,234 |",
            "(2 lanes). `engine-async`",
            "| engine-async | 64 | 3.25 | 25 % | 88 % | 12.5 | 345 | 17.0 |",
            "| batch | 1 | 64 | 10,000 | 5.00x | 8 % |",
            "### mlp: sequential 1,000 samples/s",
            "| 2 | 1,800 | 1.80x | 2,400 | 2.40x | 1,700 | 1.70x | ok |",
        ],
    );
}

#[test]
fn tables_fit_a_terminal() {
    let mut rows = study();
    for row in &mut rows {
        row.samples_per_s *= 1e3;
        row.callers = if row.callers == 8 { 1024 } else { row.callers };
        row.latency_us = LatencyUs { mean: 1e4, p50: 12_345.0, p99: 99_999.0 };
        if let Some(engine) = &mut row.engine {
            (engine.queue_us, engine.execute_us) = (row.latency_us, row.latency_us);
            (engine.mean_batch, engine.occupancy) = (999.9, 1.0);
        }
        row.model = "nn.TransformerEncoderLayer".into();
    }
    for line in markdown(&results(rows)).lines().filter(|line| line.starts_with('|')) {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn findings_are_computed_from_the_rows() {
    let text = markdown(&results(study()));
    has(
        &text,
        &[
            "- **mlp**: one session is fastest at batch 64 (10,000 samples/s, 5.00x sequential), and within 10 % of that from batch 8 on",
            "; 2 threads with a session each reach 1.90x sequential",
            "; the engine on 2 lanes reaches 9.00x sequential with 64 tickets in flight, 90 % of one session's batch 64.",
        ],
    );
    has(&text, &["`sequential` of mlp gave 1,000 samples/s in one suite and 2,000 in another"]);
    let mut quiet = study();
    quiet[6].samples_per_s = 1000.0;
    // Faster than any batch of the suite of batches: not what the engine is measured by.
    quiet[11].samples_per_s = 20_000.0;
    let text = markdown(&results(quiet));
    assert!(!text.contains("not quiet"), "{text}");
    has(&text, &["90 % of one session's batch 64"]);
    let only_ops: Vec<Row> = study().into_iter().filter(|row| row.suite == "ops").collect();
    assert!(!markdown(&results(only_ops)).contains("Findings"));
}

#[test]
fn wrong_answers_are_not_hidden() {
    let mut rows = study();
    (rows[3].wrong, rows[4].errors, rows[4].completed) = (3, 1_000, 0);
    let mut results = results(rows);
    results.problems.push("'t6': cpu cannot run it".into());
    assert!(!results.are_right());
    has(
        &markdown(&results),
        &[
            "**2 of 13 measurements have wrong or missing answers**",
            "- **'t6': cpu cannot run it**",
            "**threads, n 2, batch 1: 3 WRONG**",
            "**engine, n 8, batch 1: 1,000 ERRORS**",
        ],
    );
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
    let results = results(study());
    let json = results.to_json();
    assert!(json.contains(r#""mode": "engine-async""#) && !json.contains("problems"));
    let parsed: Results = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed, results);
    let before = r#"{"mean": 1, "p50": 1, "p99": 1}"#;
    let before = format!(
        r#"{{"suite": "ops", "model": "m", "mode": "engine", "callers": 1, "lanes": 1, "workers": 0, "batch": 1, "samples": 1,
        "seconds": 1, "samples_per_s": 1, "latency_us": {before}, "expected": 1, "completed": 1, "errors": 0, "wrong": 0}}"#
    );
    assert_eq!(
        serde_json::from_str::<Row>(&before).unwrap().engine,
        None,
        "rows of earlier versions are read"
    );
}

#[test]
fn rows_stand_by_suite() {
    let mut results = results(Vec::new());
    for row in [9, 2, 0, 6, 3, 1].map(|index| study()[index].clone()) {
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
