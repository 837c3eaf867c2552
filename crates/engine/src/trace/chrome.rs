//! Traces in Chrome's trace event format, the JSON that `chrome://tracing` and <https://ui.perfetto.dev> open.
//!
//! Source: "Trace Event Format", Google, 2016. Used of it: metadata (`M`), complete slices (`X`), asynchronous slices (`b`, `e`)
//! and counters (`C`). Times are in microseconds.

use std::fmt::{self, Display, Write as _};
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use super::{Executed, Lane, Served, Trace};

/// Writes the traces of several engines as one JSON document, in Chrome's trace event format.
///
/// Each engine is a process with the given name, each lane of it a track. A batch is a slice of its lane's track, with its samples,
/// requests and release; a request is an asynchronous slice from its acceptance to its answer. A counter shows the samples
/// that waited, of the requests in the trace. Time 0 is when the first of the engines was made.
pub fn write_chrome<'a>(
    engines: impl IntoIterator<Item = (&'a str, &'a Trace)>,
    out: impl io::Write,
) -> io::Result<()> {
    let engines: Vec<(&str, &Trace)> = engines.into_iter().collect();
    let origin = engines.iter().filter_map(|(_, trace)| trace.origin).min();
    let dropped: u64 = engines.iter().map(|(_, trace)| trace.dropped()).sum();
    let mut events = Events { out: io::BufWriter::new(out), first: true, line: String::new(), next_id: 0 };
    write!(
        events.out,
        "{{\"displayTimeUnit\":\"ns\",\"otherData\":{{\"dropped\":{dropped}}},\"traceEvents\":["
    )?;
    for (index, (name, trace)) in engines.into_iter().enumerate() {
        events.engine(index + 1, name, trace, origin)?;
    }
    events.out.write_all(b"\n]}\n")?;
    events.out.flush()
}

/// The list of events, written one after the other.
struct Events<W: io::Write> {
    out: io::BufWriter<W>,
    first: bool,
    /// The event that is being written.
    line: String,
    /// Of the next asynchronous slice.
    next_id: u64,
}

impl<W: io::Write> Events<W> {
    fn engine(&mut self, pid: usize, name: &str, trace: &Trace, origin: Option<Instant>) -> io::Result<()> {
        self.event(format_args!(
            r#""ph":"M","name":"process_name","pid":{pid},"args":{{"name":{}}}"#,
            Quoted(name)
        ))?;
        let offset = trace.origin.zip(origin).map_or(Duration::ZERO, |(own, first)| own - first);
        let offset = offset.as_nanos() as u64;
        for lane in &trace.lanes {
            self.lane(pid, lane, offset)?;
        }
        self.waiting(pid, trace, offset)
    }

    fn lane(&mut self, pid: usize, lane: &Lane, offset: u64) -> io::Result<()> {
        let tid = lane.index + 1;
        self.event(format_args!(
            r#""ph":"M","name":"thread_name","pid":{pid},"tid":{tid},"args":{{"name":"lane {}"}}"#,
            lane.index
        ))?;
        for (batch, requests) in lane.batches() {
            let Executed { samples, release, ok, requests: count, .. } = batch;
            let model = Quoted(&lane.models[batch.model]);
            let (start, end) = (Micros(batch.start + offset), Micros(batch.end + offset));
            let time = Micros(batch.end.saturating_sub(batch.start));
            self.event(format_args!(
                r#""ph":"X","cat":"batch","name":{model},"pid":{pid},"tid":{tid},"ts":{start},"dur":{time},"args":{{"samples":{samples},"requests":{count},"release":"{release}","ok":{ok}}}"#,
            ))?;
            for Served { samples, accepted } in requests {
                let id = self.next_id;
                self.next_id += 1;
                let waited = Micros(batch.start.saturating_sub(*accepted));
                let accepted = Micros(accepted + offset);
                let head =
                    format!(r#""cat":"request","name":{model},"id":"{id:#x}","pid":{pid},"tid":{tid}"#);
                self.event(format_args!(
                    r#""ph":"b",{head},"ts":{accepted},"args":{{"samples":{samples},"waited_us":{waited},"ok":{ok}}}"#
                ))?;
                self.event(format_args!(r#""ph":"e",{head},"ts":{end}"#))?;
            }
        }
        Ok(())
    }

    /// The samples that waited, as they came and went.
    fn waiting(&mut self, pid: usize, trace: &Trace, offset: u64) -> io::Result<()> {
        let mut changes: Vec<(u64, i64)> = Vec::new();
        for (batch, requests) in trace.lanes.iter().flat_map(Lane::batches) {
            for request in requests.iter().filter(|request| request.accepted < batch.start) {
                changes.extend([
                    (request.accepted, request.samples as i64),
                    (batch.start, -(request.samples as i64)),
                ]);
            }
        }
        changes.sort_unstable_by_key(|(at, _)| *at);
        let mut waiting = 0;
        for together in changes.chunk_by(|a, b| a.0 == b.0) {
            waiting += together.iter().map(|(_, change)| change).sum::<i64>();
            let at = Micros(together[0].0 + offset);
            self.event(format_args!(
                r#""ph":"C","name":"waiting","pid":{pid},"ts":{at},"args":{{"samples":{waiting}}}"#
            ))?;
        }
        Ok(())
    }

    /// Writes one event.
    fn event(&mut self, members: fmt::Arguments<'_>) -> io::Result<()> {
        self.line.clear();
        let comma = if std::mem::take(&mut self.first) { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(self.line, "{comma}\n{{{members}}}");
        self.out.write_all(self.line.as_bytes())
    }
}

/// Nanoseconds as microseconds.
struct Micros(u64);

impl Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// A JSON string.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c < ' ' => write!(f, "\\u{:04x}", c as u32)?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}
