//! How far it is, on standard error: a bar in a terminal, lines elsewhere, or nothing.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::tell;

/// Lines of suites come no faster.
const PAUSE: Duration = Duration::from_secs(1);

/// How far it is.
pub struct Progress {
    shown: Shown,
    /// What the last line said, where there are lines.
    line: String,
    told: Option<Instant>,
    done: usize,
    total: usize,
    suite: String,
    suites_begun: usize,
    suites: usize,
}

enum Shown {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    /// Of nothing yet.
    pub fn new(quiet: bool) -> Self {
        let shown = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Shown::Nothing,
            (false, false) => Shown::Lines,
            (false, true) => Shown::Bar(bar()),
        };
        let (line, suite) = (String::new(), String::new());
        Progress { shown, line, told: None, done: 0, total: 0, suite, suites_begun: 0, suites: 0 }
    }

    /// There are so many suites.
    pub fn suites(&mut self, suites: usize) {
        self.suites = suites;
    }

    /// The next suite begins; its steps are not known yet.
    pub fn suite(&mut self, name: &str) {
        self.suite = name.into();
        self.suites_begun += 1;
        self.planned(0);
        self.line.clear();
        if let Shown::Lines = &self.shown {
            tell(format_args!("[{}/{}] {name}", self.suites_begun, self.suites));
            self.told = Some(Instant::now());
        }
    }

    /// There are so many steps.
    pub fn planned(&mut self, steps: usize) {
        (self.total, self.done) = (steps, 0);
        if let Shown::Bar(bar) = &self.shown {
            bar.set_length(steps as u64);
            bar.set_position(0);
        }
    }

    /// A step begins: `heading` is what several steps have in common, and gets a line; `detail` is shown in the bar alone.
    pub fn begins(&mut self, heading: &str, detail: &str) {
        match &self.shown {
            Shown::Bar(bar) if self.suites > 0 => bar.set_message(format!(
                "{} ({}/{}) {heading} {detail}",
                self.suite, self.suites_begun, self.suites
            )),
            Shown::Bar(bar) => bar.set_message(format!("{heading} {detail}")),
            Shown::Lines if self.line != heading && self.may_tell() => {
                tell(format_args!("[{:>3}/{}] {heading}", self.done + 1, self.total));
                self.line = heading.to_string();
                self.told = Some(Instant::now());
            }
            _ => {}
        }
    }

    /// Suites have many short steps: not each of them is worth a line.
    fn may_tell(&self) -> bool {
        self.suites == 0 || self.told.is_none_or(|told| told.elapsed() >= PAUSE)
    }

    /// So many steps are done.
    pub fn advance(&mut self, steps: usize) {
        self.done += steps;
        if let Shown::Bar(bar) = &self.shown {
            bar.inc(steps as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos:>3}/{len} {elapsed:>4} {msg}");
    let bar = ProgressBar::new(0);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
