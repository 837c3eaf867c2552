//! Reading a profile that somebody else may have written: everything is bounded.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::Deserialize;

use crate::{Configuration, CostRow, Figures, Profile, ProfileError, Recommendation, SCHEMA, Tried};

/// A profile of all sizes, lanes and uses takes some 20 KB.
const MAX_BYTES: u64 = 1 << 20;
/// Rows of costs.
const MAX_COSTS: usize = 4096;
/// Characters of one text.
const MAX_TEXT: usize = 4096;
/// Notes.
const MAX_NOTES: usize = 64;
/// Samples of one execution.
const MAX_SAMPLES: usize = 1 << 20;
/// Lanes, threads, helpers, cores.
const MAX_THREADS: usize = 4096;
/// Worker processes.
const MAX_WORKERS: usize = 256;
/// Requests in flight.
const MAX_IN_FLIGHT: usize = 1 << 24;
/// An hour.
const MAX_US: f64 = 3.6e9;
/// Samples a second.
const MAX_RATE: f64 = 1e12;

/// The one field that says whether the others can be understood.
#[derive(Deserialize)]
struct Header {
    schema: String,
}

impl Profile {
    /// Reads a profile from a file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Profile, ProfileError> {
        Self::from_reader(File::open(path)?)
    }

    /// Reads a profile, at most 1 MiB.
    pub fn from_reader(reader: impl Read) -> Result<Profile, ProfileError> {
        let mut bytes = Vec::new();
        reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Self::from_json(&bytes)
    }

    /// Reads a profile from the content of a file.
    pub fn from_json(bytes: &[u8]) -> Result<Profile, ProfileError> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ProfileError::TooLarge { limit: MAX_BYTES });
        }
        let header: Header = serde_json::from_slice(bytes)?;
        if header.schema != SCHEMA {
            let got = header.schema.chars().take(64).collect();
            return Err(ProfileError::Schema { got });
        }
        let profile: Profile = serde_json::from_slice(bytes)?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), ProfileError> {
        let Profile { machine, model, costs, recommendations, notes, .. } = self;
        within("number of cost rows", costs.len(), 1..=MAX_COSTS)?;
        within("number of recommendations", recommendations.len(), 1..=crate::Use::ALL.len())?;
        within("number of notes", notes.len(), 0..=MAX_NOTES)?;
        within("number of cores", machine.cores, 1..=MAX_THREADS)?;
        within("knee_lanes", self.knee_lanes, 1..=MAX_THREADS)?;
        let texts = [
            ("commit", &self.commit),
            ("command", &self.command),
            ("time of creation", &self.created),
            ("device", &machine.device),
            ("hardware", &machine.hardware),
            ("instruction set", &machine.isa),
            ("version", &machine.paceline),
            ("model's name", &model.name),
            ("model's fingerprint", &model.fingerprint),
        ];
        let reasons = recommendations.iter().map(|recommendation| ("reason", &recommendation.reason));
        let notes = notes.iter().map(|note| ("note", note));
        for (field, text) in texts.into_iter().chain(reasons).chain(notes) {
            within(&format!("length of the {field}"), text.len(), 0..=MAX_TEXT)?;
        }
        costs.iter().enumerate().try_for_each(|(index, row)| check_cost(index, row))?;
        recommendations.iter().try_for_each(check_recommendation)?;
        if self.chosen().is_none() {
            return Err(ProfileError::Value {
                field: "chosen use".into(),
                expected: "one of its recommendations".into(),
                got: self.chosen.to_string(),
            });
        }
        Ok(())
    }
}

fn check_cost(index: usize, row: &CostRow) -> Result<(), ProfileError> {
    let field = |name: &str| format!("{name} of cost row {index}");
    within(&field("samples"), row.samples, 1..=MAX_SAMPLES)?;
    within(&field("lanes"), row.lanes, 1..=MAX_THREADS)?;
    within(&field("threads"), row.threads, 1..=MAX_THREADS)?;
    within(&field("mean_us"), row.mean_us, 1e-3..=MAX_US)?;
    within(&field("p99_us"), row.p99_us, 1e-3..=MAX_US)?;
    within(&field("samples_per_s"), row.samples_per_s, 0.0..=MAX_RATE)?;
    within(&field("uncertainty"), row.uncertainty, 0.0..=f64::INFINITY)
}

fn check_recommendation(recommendation: &Recommendation) -> Result<(), ProfileError> {
    let Recommendation { purpose, configuration, in_flight, uncertainty, tried, .. } = recommendation;
    let field = |name: &str| format!("{name} for {purpose}");
    let check = |configuration: &Configuration, in_flight: usize, uncertainty: f64| {
        within(&field("workers"), configuration.workers, 0..=MAX_WORKERS)?;
        within(&field("lanes"), configuration.lanes, 1..=MAX_THREADS)?;
        within(&field("helpers"), configuration.helpers, 0..=MAX_THREADS)?;
        within(&field("max_batch"), configuration.max_batch, 1..=MAX_SAMPLES)?;
        within(&field("in_flight"), in_flight, 1..=MAX_IN_FLIGHT)?;
        within(&field("uncertainty"), uncertainty, 0.0..=f64::MAX)
    };
    check(configuration, *in_flight, *uncertainty)?;
    within(&field("number of configurations tried"), tried.len(), 0..=Tried::MOST)?;
    tried.iter().try_for_each(|tried| check(&tried.configuration, tried.in_flight, tried.uncertainty))?;
    let own = [Some(recommendation.predicted), recommendation.measured, recommendation.unconfigured];
    let figures = own.into_iter().flatten().chain(tried.iter().map(|tried| tried.figures));
    for Figures { requests: _, samples_per_s, mean_us, p50_us, p99_us } in figures {
        within(&field("samples_per_s"), samples_per_s, 0.0..=MAX_RATE)?;
        for us in [mean_us, p50_us, p99_us] {
            within(&field("time"), us, 0.0..=MAX_US)?;
        }
    }
    Ok(())
}

fn within<T: PartialOrd + Display>(
    field: &str,
    got: T,
    range: RangeInclusive<T>,
) -> Result<(), ProfileError> {
    if range.contains(&got) {
        return Ok(());
    }
    let expected = format!("from {} to {}", range.start(), range.end());
    Err(ProfileError::Value { field: field.into(), expected, got: got.to_string() })
}
