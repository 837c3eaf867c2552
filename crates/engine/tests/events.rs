//! What the engine tells through `tracing`.
#![cfg(not(loom))]

mod common;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use common::{WIDTH, engine, input};
use paceline_device::fake::{FakeProgram, Outcome, rows};
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

/// Level and fields of each event of the thread that it is set for.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(Level, Fields)>>>);

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
}

impl Subscriber for Heard {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.0.lock().unwrap().push((*event.metadata().level(), fields));
    }
}

#[test]
fn loading_batches_and_failures_are_told() {
    let program = FakeProgram::new(rows(WIDTH))
        .script(|e| if e.firsts[0] == 1.0 { Outcome::Fail("one".into()) } else { Outcome::Compute });
    let heard = Heard::default();
    tracing::subscriber::with_default(heard.clone(), || {
        let (_engine, model) = engine(1, &Arc::new(program));
        assert!(model.infer([("x", input(2.0, 3))]).is_ok());
        assert!(model.infer([("x", input(1.0, 1))]).is_err());
    });
    let heard = heard.0.lock().unwrap();
    let told: Vec<_> = heard.iter().map(|(level, fields)| (*level, fields.0["message"].as_str())).collect();
    let expected = [
        (Level::DEBUG, "model loaded"),
        (Level::TRACE, "batch executed"),
        (Level::TRACE, "batch executed"),
        (Level::WARN, "execution failed"),
    ];
    assert_eq!(told, expected);
    for ((_, fields), (samples, ok)) in heard[1..3].iter().zip([("3", "true"), ("1", "false")]) {
        let of = |name: &str| fields.0[name].as_str();
        assert_eq!(
            [of("model"), of("lane"), of("samples"), of("release"), of("ok")],
            ["fake", "0", samples, "inline", ok]
        );
        assert!(of("took_us").parse::<u64>().is_ok());
    }
}
