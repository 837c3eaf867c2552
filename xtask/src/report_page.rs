//! The report's page in a browser: it loads, its plots are there, what can be pressed works, and nothing is said on the console.
//!
//! A copy of the page gets two scripts: the first, before anything else, collects errors; the last presses everything and writes what it
//! found into the page, which Chromium then prints.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell::{Command, root};

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const LISTEN: &str = include_str!("report_page/listen.js");
const PRESS: &str = include_str!("report_page/press.js");
/// Width, height, and whether the system is dark.
const VIEWS: [(u32, u32, bool); 4] =
    [(1280, 900, false), (1280, 900, true), (390, 844, false), (390, 844, true)];

pub fn check() -> Result<()> {
    let browser = find()?;
    let out = root().join("target/report-page");
    let place = out.to_str().context("the repository's path is not UTF-8")?;
    let run = [
        "run",
        "--quiet",
        "--release",
        "--",
        "bench",
        "--quick",
        "--seconds",
        "0.02",
        "--quiet",
        "--out",
        place,
    ];
    // The report is what is tested, not this machine.
    Command::new("cargo").args(run).output()?;
    let page = fs::read_to_string(out.join("index.html"))?;
    let pressed = page.replacen("<head>", &format!("<head><script>{LISTEN}</script>"), 1).replacen(
        "</body>",
        &format!("<script>{PRESS}</script></body>"),
        1,
    );
    let copy = out.join("pressed.html");
    fs::write(&copy, pressed)?;

    let mut problems = Vec::new();
    for (width, height, dark) in VIEWS {
        let name = format!("{width}-{}", if dark { "dark" } else { "light" });
        let picture = format!("--screenshot={}", out.join(format!("{name}.png")).display());
        browse(browser, &out, width, height * 4, dark, &[&picture], &out.join("index.html"))?;
        let dom = browse(browser, &out, width, height, dark, &["--dump-dom"], &copy)?;
        let found = verdict(&dom).with_context(|| format!("{name}: the page did not say what it found"))?;
        eprintln!("{name}: {}", found["seen"].as_str().unwrap_or("nothing"));
        let said = found["problems"].as_array().into_iter().flatten().filter_map(Value::as_str);
        problems.extend(said.map(|problem| format!("{name}: {problem}")));
    }
    fs::remove_file(&copy)?;
    if !problems.is_empty() {
        bail!("the page is not as it should be:\n  {}", problems.join("\n  "));
    }
    eprintln!("pictures of the page are in {}", out.display());
    Ok(())
}

fn find() -> Result<&'static str> {
    let paths: Vec<PathBuf> =
        std::env::var_os("PATH").map(|all| std::env::split_paths(&all).collect()).unwrap_or_default();
    let is_there = |browser: &&&str| paths.iter().any(|path| path.join(browser).is_file());
    BROWSERS.iter().find(is_there).copied().with_context(|| {
        format!(
            "a browser is needed ({}) and was not found; install one: apt-get install chromium",
            BROWSERS.join(", ")
        )
    })
}

/// Lets the browser do one thing with a page, and returns what it prints.
fn browse(
    browser: &str,
    out: &Path,
    width: u32,
    height: u32,
    dark: bool,
    what: &[&str],
    page: &Path,
) -> Result<String> {
    let profile = out.join("profile");
    let mut command = process::Command::new(browser);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--hide-scrollbars",
        ])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg("--virtual-time-budget=3000")
        .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--window-size={width},{height}"))
        .args(what)
        .arg(format!("file://{}", page.display()));
    let output = command.output().with_context(|| format!("could not start {browser}"));
    // A profile of its own for each time: nothing is remembered.
    let _ = fs::remove_dir_all(&profile);
    let output = output?;
    if !output.status.success() {
        bail!("{browser} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What the last script wrote.
fn verdict(dom: &str) -> Result<Value> {
    let start =
        dom.find("<pre id=\"verdict\">").context("there is no verdict")? + "<pre id=\"verdict\">".len();
    let end = dom[start..].find("</pre>").context("the verdict does not end")? + start;
    let text = dom[start..end].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    Ok(serde_json::from_str(&text)?)
}
