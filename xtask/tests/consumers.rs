// SPDX-License-Identifier: GPL-2.0-only
//! The reports of one real matrix run, each opened by its own consumer: a browser, a
//! JUnit parser, the kernel's `kunit.py`, the published schema.
//!
//! The run in `fixtures/store/matrix` is a night of two real kernels in which a patch of v6.1
//! had been spoilt. A consumer that this machine lacks is skipped, and that is said.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use junit_parser::TestStatus;
use serde_json::Value;
use tempfile::TempDir;
use xtask::cache::Cache;

const RUN: &str = "20261123T132138Z-67w28V";

/// What the browser is called on one system or another.
const BROWSERS: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// Writes the run's report in this format into a checkout that has only the run.
fn report(format: &str) -> (TempDir, PathBuf) {
    let checkout = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store/matrix");
    let dir = checkout.path().join("results/runs").join(RUN);
    for entry in walkdir::WalkDir::new(&fixture) {
        let entry = entry.unwrap();
        let place = dir.join(entry.path().strip_prefix(&fixture).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(&place).unwrap();
        } else {
            fs::copy(entry.path(), &place).unwrap();
        }
    }
    let path = checkout.path().join(format!("report.{format}"));
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask.env("CARGO_MANIFEST_DIR", checkout.path().join("xtask"));
    let done = xtask.args(["report", RUN, "--format", format, "--output"]).arg(&path).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    (checkout, path)
}

fn in_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let files = std::env::split_paths(&path).flat_map(|dir| names.iter().map(move |name| dir.join(name)));
    files.into_iter().find(|file| file.is_file())
}

/// The page in frames of two widths; what each shows goes into `#told`.
const LOOK: &str = r#"<!DOCTYPE html><body><pre id="told"></pre><script>
const seen = {};
const look = width => new Promise(done => {
  const frame = document.createElement("iframe");
  frame.style = `width: ${width}px; height: 900px; border: 0`;
  frame.onload = () => {
    const page = frame.contentDocument;
    const style = frame.contentWindow.getComputedStyle(page.body);
    const box = element => element.getBoundingClientRect();
    seen[width] = {
      wide: page.documentElement.scrollWidth,
      title: page.title,
      text: page.body.innerText,
      charts: [...page.querySelectorAll("svg")].filter(svg => box(svg).width > 10 && box(svg).height > 5).length,
      scripts: page.scripts.length,
      color: style.color,
      back: style.backgroundColor,
    };
    done();
  };
  frame.src = "report.html";
  document.body.append(frame);
});
Promise.all([320, 1200].map(look)).then(() => document.getElementById("told").textContent = JSON.stringify(seen));
</script></body>"#;

/// What the browser says that it shows, with these options.
fn looked(browser: &Path, dir: &Path, options: &[&str]) -> Value {
    fs::write(dir.join("look.html"), LOOK).unwrap();
    let mut command = assert_cmd::Command::new(browser);
    command.timeout(Duration::from_secs(120));
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]);
    command.arg(format!("--user-data-dir={}", dir.join("profile").display()));
    command.args(options).args(["--virtual-time-budget=10000", "--dump-dom"]);
    let output = command.arg(format!("file://{}", dir.join("look.html").display())).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let page = scraper::Html::parse_document(&text);
    let told = page.select(&scraper::Selector::parse("#told").unwrap()).next();
    let told = told.map(|told| told.text().collect::<String>()).unwrap_or_default();
    let complaint = || format!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {}", complaint()))
}

/// The three figures of `rgb(1, 2, 3)`, in all.
fn brightness(color: &Value) -> u32 {
    let text = color.as_str().unwrap();
    let inner = text.split_once('(').unwrap().1.trim_end_matches(')');
    inner.split(',').take(3).map(|part| part.trim().parse::<u32>().unwrap()).sum()
}

#[test]
fn a_browser_shows_the_page_on_a_phone_and_a_desk_in_light_and_dark() {
    let Some(browser) = in_path(&BROWSERS) else {
        eprintln!("skipped: there is none of {} in PATH", BROWSERS.join(", "));
        return;
    };
    let (checkout, path) = report("html");
    assert!(path.is_file());
    let light = looked(&browser, checkout.path(), &[]);
    let dark = looked(&browser, checkout.path(), &["--force-dark-mode"]);
    for seen in [&light, &dark] {
        for width in [320, 1200] {
            let seen = &seen[width.to_string()];
            assert!(
                seen["wide"].as_u64().unwrap() <= width,
                "{width}: to be read, it has to be moved: {}",
                seen["wide"]
            );
            assert_eq!((seen["title"].as_str(), seen["scripts"].as_u64()), (Some("kvm-gup-io: fail"), Some(0)));
            assert!(seen["charts"].as_u64().unwrap() > 0, "no wait is drawn");
            let text = seen["text"].as_str().unwrap();
            let parts = [
                "6.1.192",
                "7.3.4",
                "anon",
                "held",
                "released",
                "read_swap_cache_async",
                "Against the nights before",
                "5 new",
                RUN,
                "cargo xtask nightly v6.1 v7.3",
            ];
            for part in parts {
                assert!(text.contains(part), "{width}: nobody can read {part:?} in: {text}");
            }
        }
    }
    let back = |seen: &Value| brightness(&seen["320"]["back"]);
    let ink = |seen: &Value| brightness(&seen["320"]["color"]);
    assert!(back(&light) > ink(&light) + 300, "{} on {}", ink(&light), back(&light));
    assert!(ink(&dark) > back(&dark) + 300, "{} on {}", ink(&dark), back(&dark));
}

#[test]
fn a_junit_parser_counts_what_failed() {
    let (_checkout, path) = report("junit");
    let all = junit_parser::from_reader(fs::read(path).unwrap().as_slice()).unwrap();
    let cases: Vec<_> = all.suites.iter().flat_map(|suite| &suite.cases).collect();
    let failed: Vec<_> = cases.iter().filter(|case| matches!(case.status, TestStatus::Failure(_))).collect();
    assert!(cases.iter().all(|case| !matches!(case.status, TestStatus::Error(_))));
    // Two accesses as two probes meet them.
    assert_eq!((all.suites.len() >= 2, failed.len()), (true, 4), "{failed:?}");
    assert!(failed.iter().all(|case| case.name.contains("anon.sync.") && case.name.contains("@1")), "{failed:?}");
    assert_eq!((all.failures, all.errors, all.tests), (4, 0, u64::try_from(cases.len()).unwrap()));
}

/// In a kernel tree that the cache has, or that the distribution brought.
fn kunit() -> Option<PathBuf> {
    let mut trees: Vec<PathBuf> = Vec::new();
    for dir in [Cache::open().ok()?.root.join("work"), PathBuf::from("/usr/src")] {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            trees.extend([entry.path().join("src"), entry.path()]);
        }
    }
    trees.sort();
    trees.into_iter().map(|tree| tree.join("tools/testing/kunit/kunit.py")).rfind(|tool| tool.is_file())
}

#[test]
fn kunit_parses_the_ktap() {
    let (Some(kunit), Some(python)) = (kunit(), in_path(&["python3"])) else {
        eprintln!("skipped: there is no kernel tree with kunit.py in the cache or in /usr/src, or no python3");
        return;
    };
    let (checkout, path) = report("ktap");
    let mut command = Command::new(python);
    // It would write its bytecode into a tree that is not ours.
    command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(checkout.path());
    let output = command.arg(kunit).arg("parse").arg(path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let summary = text.lines().rfind(|line| line.contains("Testing complete")).unwrap_or_else(|| panic!("{text}"));
    assert!(summary.contains("Ran 52 tests: passed: 48, failed: 4"), "{text}");
    assert!(!text.to_lowercase().contains("[error]"), "{text}");
    assert!(text.contains("[FAILED] anon.sync.read@1.writer"), "{text}");
}

#[test]
fn the_published_schema_takes_the_kcidb() {
    let (_checkout, path) = report("kcidb");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kcidb/v5.3.json");
    // The validator's regular expressions have another name for NUL.
    let schema = fs::read_to_string(fixture).unwrap().replace(r"\\0", r"\\x00");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let all: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(&all).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    let failed = all["tests"].as_array().unwrap().iter().filter(|test| test["status"] == "FAIL");
    assert!(failed.count() >= 4);
}
