//! A suite in a process of its own: what it tells is read line by line, and however it ends, by itself, by a crash or because it said
//! nothing for too long, is told.
//!
//! The child gets its assignment as the first line of its standard input, which stays open as long as the parent lives: a child that
//! reads its end knows that nobody listens any more.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How a child ended.
#[derive(Debug)]
pub struct Ending {
    /// How it exited; `None` where it said nothing for too long and was killed.
    pub status: Option<ExitStatus>,
    /// The last lines that it wrote to standard error.
    pub last_words: String,
    /// From its start to its end.
    pub time: Duration,
}

/// How often the child is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Lines of standard error that are kept.
const LAST_WORDS: usize = 6;

/// Runs a command with `assignment`, a line, as input. `each` gets every line of its output. A child that writes none for `silence`
/// is killed.
///
/// Fails where it cannot be started.
pub fn run(
    mut command: Command,
    assignment: &str,
    silence: Duration,
    each: &mut dyn FnMut(&str),
) -> io::Result<Ending> {
    let start = Instant::now();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map(Killed)?;
    let (sender, lines) = mpsc::channel();
    let stdout = child.0.stdout.take().expect("it is piped");
    let mut stderr = child.0.stderr.take().expect("it is piped");
    let mut stdin = child.0.stdin.take().expect("it is piped");
    let reader = thread::Builder::new().name("suite-output".into()).spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    })?;
    let (words_sender, words) = mpsc::channel();
    let listener = thread::Builder::new().name("suite-errors".into()).spawn(move || {
        let _ = words_sender.send(last_lines(&mut stderr));
    })?;
    // A child that ends without reading it has an exit status, which says more.
    let _ = writeln!(stdin, "{assignment}").and_then(|()| stdin.flush());

    let mut heard = Instant::now();
    let status = loop {
        match lines.recv_timeout(LOOK) {
            Ok(line) => {
                heard = Instant::now();
                each(&line);
            }
            Err(error) => {
                // Checked when nothing was left to read: all that it said is heard. Somebody else may hold its output open.
                if let Some(status) = child.0.try_wait()? {
                    lines.try_iter().for_each(|line| each(&line));
                    break Some(status);
                }
                if heard.elapsed() >= silence {
                    break None;
                }
                if error == RecvTimeoutError::Disconnected {
                    thread::sleep(LOOK);
                }
            }
        }
    };
    drop(child);
    drop(stdin);
    let time = start.elapsed();
    // Descendants of the child may hold its outputs open for ever: the readers are not waited for longer than this.
    let last_words = words.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
    for thread in [reader, listener] {
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
    Ok(Ending { status, last_words, time })
}

/// A child that does not outlive its handle.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

fn last_lines(from: &mut dyn Read) -> String {
    let mut last = VecDeque::new();
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        last.push_back(String::from_utf8_lossy(&line).into_owned());
        if last.len() > LAST_WORDS {
            last.pop_front();
        }
    }
    Vec::from(last).join("\n").trim().to_string()
}

/// For the child: its assignment, and a thread that calls `orphaned` when nobody listens any more.
pub fn receive(orphaned: impl FnOnce() + Send + 'static) -> io::Result<String> {
    let mut assignment = String::new();
    io::stdin().lock().read_line(&mut assignment)?;
    thread::Builder::new().name("suite-parent".into()).spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        orphaned();
    })?;
    Ok(assignment)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn shell(script: &str, silence: Duration) -> (Ending, Vec<String>) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut lines = Vec::new();
        let ending = run(command, "the assignment", silence, &mut |line| lines.push(line.into())).unwrap();
        (ending, lines)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_a_child_says_is_heard_and_its_end_is_told() {
        let (ending, lines) = shell("read a; echo got $a; echo two", LONG);
        assert!(ending.status.unwrap().success());
        assert_eq!(lines, ["got the assignment", "two"]);

        let (ending, lines) =
            shell("echo one; for i in 1 2 3 4 5 6 7 8; do echo word $i >&2; done; exit 3", LONG);
        assert_eq!((ending.status.unwrap().code(), &lines[..]), (Some(3), &["one".to_string()][..]));
        assert!(ending.last_words.starts_with("word 3") && ending.last_words.ends_with("word 8"));
    }

    #[test]
    fn a_crash_is_told_by_its_signal() {
        let (ending, lines) = shell("echo one; kill -SEGV $$", LONG);
        assert_eq!((ending.status.unwrap().signal(), lines.len()), (Some(11), 1));
    }

    #[test]
    fn a_child_that_hangs_is_ended() {
        let (ending, lines) = shell("echo one; while :; do sleep 0.05; done", Duration::from_millis(300));
        assert!(ending.status.is_none(), "{:?}", ending.status);
        assert_eq!(lines, ["one"]);
        assert!(ending.time >= Duration::from_millis(300) && ending.time < Duration::from_secs(30));
        // What it says counts, not how long it takes.
        let (ending, lines) =
            shell("for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done", Duration::from_millis(500));
        assert!(ending.status.unwrap().success() && lines.len() == 6, "{lines:?}");
    }

    #[test]
    fn a_descendant_that_holds_the_output_open_holds_nobody_up() {
        let (ending, lines) = shell("sleep 20 & echo one", LONG);
        assert!(
            ending.status.unwrap().success() && ending.time < Duration::from_secs(10),
            "{:?}",
            ending.time
        );
        assert_eq!(lines, ["one"]);
    }

    #[test]
    fn a_command_that_does_not_exist_is_an_error() {
        assert!(run(Command::new("/nowhere/at/all"), "", LONG, &mut |_| ()).is_err());
    }
}
