// SPDX-License-Identifier: GPL-2.0-only
//! What a run that is made again says has changed, and what it asks for.

use xtask::measure::pinned;
use xtask::repeat::differences;
use xtask::source::{DebianSource, LinuxArg, PackageKind, Request};
use xtask::store::{Evidence, RunInfo, SideInfo, TargetInfo};

use crate::told::passed;

fn changed(change: impl FnOnce(&mut Evidence)) -> Vec<String> {
    let mut then = passed();
    info(&mut then).selftests = Some("a".repeat(64));
    for side in &mut info(&mut then).targets[0].sides {
        side.patchset = Some("b".repeat(64));
    }
    let mut now = then.clone();
    change(&mut now);
    differences(&then, &now)
}

fn info(of: &mut Evidence) -> &mut RunInfo {
    of.info.as_mut().unwrap()
}

fn target(of: &mut Evidence) -> &mut TargetInfo {
    &mut info(of).targets[0]
}

fn side(of: &mut Evidence) -> &mut SideInfo {
    &mut target(of).sides[1]
}

#[test]
fn the_same_is_the_same() {
    assert_eq!(changed(|_| {}), Vec::<String>::new());
}

#[test]
fn each_thing_that_changed_has_its_line() {
    let only = |change: fn(&mut Evidence), part: &str| {
        let lines = changed(change);
        assert!(lines.len() == 1 && lines[0].contains(part), "{part}: {lines:?}");
    };
    only(|now| target(now).origin = "linux-source-6.1 6.1.200-1 (bookworm)".to_owned(), "the kernel's source:");
    only(|now| side(now).patchset = Some("c".repeat(64)), "v6.1 patched: the patches: bbbbbbbbbbbb → cccccccccccc");
    only(|now| side(now).compiler = "gcc 99".to_owned(), "the compiler:");
    only(|now| side(now).kernel_hash = "another".to_owned(), "another kernel of the same source and patches");
    only(|now| info(now).selftests = Some("d".repeat(64)), "the selftests: aaaaaaaaaaaa → dddddddddddd");
    only(|now| info(now).accel = "kvm".to_owned(), "the accelerator: tcg → kvm");
    only(|now| info(now).host.cpus += 1, "the host's processors:");
    only(|now| now.expected[0].text += "# more", "v6.1: target.toml has changed");
    let lines = changed(|now| target(now).target = "v6.2".to_owned());
    assert_eq!(lines, ["v6.1: is not there any more", "v6.2: was not there"]);
    // Of what an earlier xtask did not write nothing is said.
    assert_eq!(changed(|now| info(now).selftests = None), Vec::<String>::new());
    assert_eq!(changed(|now| side(now).patchset = None), Vec::<String>::new());
    // Another source is reason enough for another kernel.
    let lines = changed(|now| {
        target(now).origin = "another".to_owned();
        side(now).kernel_hash = "another".to_owned();
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
}

fn then(origin: &str) -> TargetInfo {
    let mut passed = passed();
    TargetInfo { origin: origin.to_owned(), ..target(&mut passed).clone() }
}

#[test]
fn the_source_of_then_is_asked_for() {
    let debian = DebianSource {
        package: "linux-source-6.1".to_owned(),
        series: "6.1".to_owned(),
        suites: vec!["bookworm".to_owned()],
        kind: PackageKind::Binary,
        version: None,
    };
    let version = |origin: &str| match pinned(Request::Debian(debian.clone()), Some(&then(origin))) {
        Request::Debian(source) => source.version,
        Request::Linux(_) => None,
    };
    assert_eq!(version("linux-source-6.1 6.1.190-1 (bookworm)").as_deref(), Some("6.1.190-1"));
    assert_eq!(version("/src/linux@0123456789ab"), None);

    let clone = tempfile::tempdir().unwrap();
    let rev = |rev: Option<&str>, origin: &str| {
        let linux = LinuxArg { path: clone.path().to_owned(), rev: rev.map(str::to_owned) };
        match pinned(Request::Linux(linux), Some(&then(origin))) {
            Request::Linux(linux) => linux.rev,
            Request::Debian(_) => None,
        }
    };
    assert_eq!(rev(Some("master"), "/src/linux@0123456789ab").as_deref(), Some("0123456789ab"));
    assert_eq!(rev(None, "/src/linux@0123456789ab").as_deref(), Some("0123456789ab"));
    assert_eq!(rev(None, "/src/linux@0123456789ab with 2 uncommitted files"), None);
    assert_eq!(rev(Some("master"), "linux-source-6.1 6.1.190-1").as_deref(), Some("master"));
    assert!(matches!(pinned(Request::Debian(debian.clone()), None), Request::Debian(source) if source == debian));
}
