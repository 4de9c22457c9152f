// SPDX-License-Identifier: GPL-2.0-only
//! A night whose time is over while a target is at work. Alone: the alarm is the process's.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use xtask::interrupt;
use xtask::store::RunDir;

use scene::{GOOD, info, lab, measure, scene, shown};

#[path = "nightly/scene.rs"]
#[expect(dead_code, reason = "the other nights have use for the rest")]
mod scene;

#[test]
fn what_is_at_work_when_the_time_is_over_is_taken_out() {
    let (checkout, cache) = scene();
    let checkout = checkout.path();
    let mut lab = lab(checkout, cache.path(), RunDir::create(checkout).unwrap(), info(&["xtask", "nightly"]));
    let run = lab.run.dir().to_owned();
    let begun = std::time::Instant::now();
    let (measured, called) = measure(&mut lab, Some(Duration::from_millis(300)), &[], |target| {
        std::fs::create_dir(run.join(format!("{target}-baseline"))).unwrap();
        // As every wait of a real one.
        while begun.elapsed() < Duration::from_secs(20) {
            interrupt::check()?;
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(shown(target, GOOD))
    });
    let measured = measured.unwrap();
    assert_eq!(called, ["v5.10"]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(measured.outcomes.is_empty() && measured.left.len() == 3, "{:?}", measured.left);
    assert!(measured.left[0].contains("at work when the time was over"), "{:?}", measured.left);
    // Nothing of it is in the record, and nothing is pending any more.
    assert!(!run.join("v5.10-baseline").exists());
    assert!(xtask::store::read_info(&run).unwrap().targets.is_empty());
    interrupt::check().unwrap();
}
