//! Traces of several suites, each written by a process of its own, as one.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::time::Duration;

use serde_json::Value;

/// What is in a trace, and what is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub measurements: u64,
    pub batches: u64,
    pub requests: u64,
    /// Batches and requests that were forgotten because later ones came.
    pub dropped: u64,
}

/// Writes the events of all `parts`, which began so long after the first, into `out`.
///
/// **Traps.** A part may be large: it is read event by event, each of which is a line of its own, as `write_chrome` has them.
pub fn merge<P: Read + Seek>(parts: Vec<(P, Duration)>, out: &mut dyn Write) -> io::Result<Contents> {
    let mut out = BufWriter::new(out);
    let mut contents = Contents::default();
    // The number of dropped events is known at the end.
    write!(out, "{{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    let (mut first, mut next_process, mut next_id) = (true, 0, 0);
    for (mut part, offset) in parts {
        part.rewind()?;
        let (process, id) = (next_process, next_id);
        for line in BufReader::new(part).lines() {
            let line = line?;
            if let Some(head) = line.strip_suffix("\"traceEvents\":[") {
                let head: Value = serde_json::from_str(&format!("{}}}", head.trim_end_matches(',')))?;
                contents.dropped += head["otherData"]["dropped"].as_u64().unwrap_or(0);
                continue;
            }
            let Ok(mut event) =
                serde_json::from_str::<Value>(line.trim_end_matches(',').trim_start_matches(','))
            else {
                continue;
            };
            shift(&mut event["pid"], process, &mut next_process);
            if let Some(text) = event["id"].as_str() {
                let number = u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0) + id;
                next_id = next_id.max(number + 1);
                event["id"] = format!("{number:#x}").into();
            }
            if let Some(at) = event["ts"].as_f64() {
                event["ts"] = (at + offset.as_secs_f64() * 1e6).into();
            }
            match event["ph"].as_str() {
                Some("X") => contents.batches += 1,
                Some("b") => contents.requests += 1,
                Some("M") if event["name"] == "process_name" => contents.measurements += 1,
                _ => {}
            }
            write!(out, "{}\n{event}", if first { "" } else { "," })?;
            first = false;
        }
    }
    writeln!(out, "\n],\"otherData\":{{\"dropped\":{}}}}}", contents.dropped)?;
    out.flush()?;
    Ok(contents)
}

fn shift(value: &mut Value, by: u64, next: &mut u64) {
    if let Some(number) = value.as_u64() {
        *next = (*next).max(number + by);
        *value = (number + by).into();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn processes_and_requests_of_parts_stay_apart() {
        let part = "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"dropped\":3},\"traceEvents\":[\n\
            {\"ph\":\"M\",\"name\":\"process_name\",\"pid\":1,\"args\":{\"name\":\"a\"}},\n\
            {\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":10.5,\"dur\":2},\n\
            {\"ph\":\"b\",\"pid\":1,\"id\":\"0xf\",\"ts\":9},\n{\"ph\":\"e\",\"pid\":1,\"id\":\"0xf\",\"ts\":12}\n]}\n";
        let mut out = Vec::new();
        let parts = [Duration::ZERO, Duration::from_micros(100)].map(|offset| (Cursor::new(part), offset));
        let contents = merge(parts.into(), &mut out);
        let expected = Contents { measurements: 2, batches: 2, requests: 2, dropped: 6 };
        assert_eq!(contents.unwrap(), expected);
        let merged: Value = serde_json::from_slice(&out).unwrap();
        let events = merged["traceEvents"].as_array().unwrap();
        let of = |name: &str| events.iter().map(|event| event[name].clone()).collect::<Vec<_>>();
        assert_eq!(of("pid"), [1, 1, 1, 1, 2, 2, 2, 2].map(Value::from));
        assert_eq!((&events[2]["id"], &events[6]["id"]), (&"0xf".into(), &"0x1f".into()));
        assert_eq!((&events[1]["ts"], &events[5]["ts"]), (&10.5.into(), &110.5.into()));
        assert_eq!(merged["otherData"]["dropped"], 6);
    }

    #[test]
    fn traces_without_events_are_one_without_events() {
        let mut out = Vec::new();
        let crashed = (Cursor::new(""), Duration::ZERO);
        assert_eq!(merge(vec![crashed], &mut out).unwrap(), Contents::default());
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap()["traceEvents"], serde_json::json!([]));
    }
}
