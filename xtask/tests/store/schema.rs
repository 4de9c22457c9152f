// SPDX-License-Identifier: GPL-2.0-only
//! Records of earlier xtasks are read, those of later ones refused. The records in
//! `fixtures/store` were written by the xtasks of their time: none is ever changed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use xtask::error::Error;
use xtask::store::{self, RUNS, evidence, read_info, read_night, stored, stored_outcome};
use xtask::variant::Variant;
use xtask::verdict::Verdict;

const ID: &str = "20261122T232815Z-L1SbKC";

/// A checkout with a copy of the old record; its folder.
pub(crate) fn old() -> (tempfile::TempDir, PathBuf) {
    let checkout = tempfile::tempdir().unwrap();
    let dir = checkout.path().join(RUNS).join(ID);
    fs::create_dir_all(&dir).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store/schema-1");
    for entry in fs::read_dir(fixture).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
    }
    (checkout, dir)
}

fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn a_record_of_schema_1_is_read_as_ours() {
    let (checkout, dir) = old();
    let info = read_info(&dir).unwrap();
    assert_eq!((info.schema, info.variant, info.plan.trials), (2, Variant::Measure, 5));
    assert_eq!(info.tool.as_deref(), Some("286c75a0cdfcd8fba4535aea11fc786dcd1ae802"));
    assert_eq!((info.selftests, info.repeats), (None, None));
    assert_eq!((info.targets[0].version.as_str(), info.targets[0].seconds), ("6.1.192", None));
    assert_eq!((info.targets[0].sides.len(), &info.targets[0].sides[0].patchset), (2, &None));
    let run = stored(&dir).unwrap();
    assert_eq!(run.outcome.unwrap().verdict, Verdict::Pass);
    // All that is told of a run can be told of it.
    let evidence = evidence(checkout.path(), Some(ID)).unwrap();
    assert_eq!(evidence.outcome.targets[0].sides.len(), 2);
    assert!(evidence.expected[0].text.contains("[[expect]]"));
}

/// The first of them did not know their own revision.
#[test]
fn what_the_first_records_do_not_say_is_not_missed() {
    let (_checkout, dir) = old();
    change(&dir.join("run.json"), |run| drop(run.as_object_mut().unwrap().remove("tool")));
    assert_eq!(read_info(&dir).unwrap().tool, None);
}

#[test]
fn what_was_lifted_is_written_as_of_today() {
    let (_checkout, dir) = old();
    let info = read_info(&dir).unwrap();
    assert_eq!(info.schema, 2);
    fs::write(dir.join("run.json"), serde_json::to_vec(&info).unwrap()).unwrap();
    assert_eq!(read_info(&dir).unwrap(), info);
}

fn refused(error: &Error, file: &str, newest: u32) {
    assert!(matches!(error, Error::Usage(_)) && error.exit_code() == 2, "{error:?}");
    let text = error.to_string();
    let part = format!("{file} has schema 99, this xtask reads up to {newest}: use a newer one");
    assert!(text.contains(&part), "{text}");
}

/// Whatever else is in it: a later format need not even look like ours.
#[test]
fn a_later_record_is_refused_with_its_number() {
    let later = json!({ "schema": 99, "runs": "as this xtask cannot know" }).to_string();
    let (_checkout, dir) = old();
    fs::write(dir.join("outcome.json"), &later).unwrap();
    refused(&stored_outcome(&dir).unwrap_err(), "outcome.json", 1);
    fs::write(dir.join("night.json"), &later).unwrap();
    let error = read_night(&dir).unwrap_err().to_string();
    assert!(error.contains("night.json has schema 99, this xtask reads up to 1"), "{error}");
    fs::write(dir.join("run.json"), &later).unwrap();
    refused(&read_info(&dir).unwrap_err(), "run.json", 2);
}

#[test]
fn a_list_has_a_line_for_what_cannot_be_read_and_goes_on() {
    let (checkout, dir) = old();
    let other = dir.with_file_name("20991122T232815Z-aaaaaa");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("run.json"), "{\"schema\": 99}").unwrap();
    let entries = store::entries(checkout.path()).unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].verdict, Some(Verdict::Pass));
    assert!(entries[1].unreadable.as_ref().unwrap().contains("use a newer one"), "{entries:?}");
}

#[test]
fn nonsense_is_no_schema() {
    let (_checkout, dir) = old();
    for text in [
        "",
        "[]",
        "{}",
        "{\"schema\": 0}",
        "{\"schema\": -1}",
        "{\"schema\": \"2\"}",
        "{\"schema\": 1.5}",
        "{\"schema\": 2",
    ] {
        fs::write(dir.join("run.json"), text).unwrap();
        let error = read_info(&dir).unwrap_err();
        assert!(matches!(error, Error::Infra(_)), "{text}: {error:?}");
        assert!(error.to_string().contains("is not what this xtask writes"), "{text}: {error}");
    }
}
