// SPDX-License-Identifier: GPL-2.0-only
//! A vng that is not there, too old, broken, or hangs: each said, none left behind.

use std::time::Instant;

use selftests::plan::{Plan, select};

use super::*;
use crate::accel::{Accel, Kind};
use crate::boot::Order;
use crate::progress::Progress;

/// A program that says this version, and otherwise does this.
fn fake(dir: &Path, version: &str, script: &str) -> PathBuf {
    let path = dir.join("vng");
    let text = format!("#!/bin/sh\nif [ \"$1\" = --version ]; then {version}; exit; fi\n{script}\n");
    // Another process writes it: a descriptor of ours, inherited by what another test
    // starts at this moment, would make the script "busy" (ETXTBSY).
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", r#"printf '%s' "$2" > "$1" && chmod 755 "$1""#, "sh"]).arg(&path).arg(text);
    assert!(shell.status().unwrap().success());
    path
}

fn here(dir: &Path) -> Places {
    Places { named: None, path: dir.as_os_str().to_owned(), pipx: vec![dir.join("pipx")] }
}

#[test]
fn one_that_is_not_there_is_told_with_what_brings_it() {
    let dir = tempfile::tempdir().unwrap();
    let error = find(&here(dir.path())).unwrap_err();
    assert_eq!(error.exit_code(), 110);
    assert!(error.to_string().contains("`pipx install virtme-ng`"), "{error}");
    let named = Places { named: Some(dir.path().join("mine")), ..here(dir.path()) };
    let error = find(&named).unwrap_err().to_string();
    assert!(error.contains("--vng: there is no program") && error.contains("/mine"), "{error}");
}

#[test]
fn it_is_found_in_path_then_where_pipx_puts_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("pipx")).unwrap();
    let pipx = fake(&dir.path().join("pipx"), "echo virtme-ng 1.42", "");
    assert_eq!(find(&here(dir.path())).unwrap().program, pipx);
    let own = fake(dir.path(), "echo virtme-ng 1.42.1", "");
    let found = find(&here(dir.path())).unwrap();
    assert_eq!((found.program, found.version.as_str()), (own, "virtme-ng 1.42.1"));
}

#[test]
fn one_that_is_too_old_or_broken_is_told_in_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let error = |version: &str| {
        fake(dir.path(), version, "");
        find(&here(dir.path())).unwrap_err().to_string()
    };
    let old = error("echo virtme-ng 1.9");
    assert!(old.contains("is virtme-ng 1.9, and the oldest that has been proved is 1.42"), "{old}");
    let broken = error("echo 'ModuleNotFoundError: virtme' >&2; exit 1");
    assert!(broken.contains("vng does not work") && broken.contains("ModuleNotFoundError: virtme"), "{broken}");
    assert!(error("echo none").contains("holds no version"));
}

/// What becomes of a boot by a vng that does this; the folder has its record.
fn booted(script: &str) -> (tempfile::TempDir, Result<crate::transcript::Transcript, Error>) {
    let dir = tempfile::tempdir().unwrap();
    let vng = find(&here(fake(dir.path(), "echo virtme-ng 1.42", script).parent().unwrap())).unwrap();
    std::fs::write(dir.path().join("bzImage"), "").unwrap();
    let cells = select(&["anon.sync.read@1".to_owned()]).unwrap().cells;
    let plan = Plan { trials: 1, hold_ms: 10, ..Plan::of(cells) };
    let accel = Accel { kind: Kind::Tcg, slowdown: 1.0, why: String::new() };
    let kernel = dir.path().join("bzImage");
    let order =
        Order { kernel: &kernel, initramfs: Path::new(""), accel: &accel, memory_mib: 512, plan: &plan, append: &[] };
    let result = boot(&vng, &order, b"selftests", dir.path(), &Progress::silent());
    (dir, result)
}

#[test]
fn a_failure_is_infrastructure_with_its_words() {
    for script in ["echo 'qemu: no such machine' >&2; exit 3", "sleep 0.5; echo 'qemu: no such machine' >&2; exit 1"] {
        let error = booted(script).1.unwrap_err();
        assert_eq!(error.exit_code(), 110, "{script}");
        let text = error.to_string();
        assert!(text.starts_with("virtme-ng failed; it said:\n") && text.contains("qemu: no such machine"), "{text}");
    }
    let error = booted("sleep 0.5; exit 0").1.unwrap_err().to_string();
    assert!(error.contains("ended (status 0) before the test did") && error.contains("it said nothing"), "{error}");
}

#[test]
fn what_the_kernel_did_is_not_blamed_on_it() {
    let script = "echo '[    1.0] Kernel panic - not syncing: x' > console.raw; sleep 0.5; exit 1";
    assert!(booted(script).1.unwrap().findings.iter().any(|finding| finding.fatal));
}

#[test]
fn it_gets_our_accelerator_our_cpu_and_a_port_for_the_frames() {
    let (dir, result) = booted("printf '%s\\n' \"$@\" > args; echo $PATH > path; exit 1");
    result.unwrap_err();
    let args = std::fs::read_to_string(dir.path().join("args")).unwrap();
    let has = |line: &str| assert!(args.lines().any(|arg| arg.starts_with(line)), "{line} in {args}");
    has("--disable-kvm");
    has("--append=hung_task_panic=1");
    has("--qemu-opts=-accel tcg,thread=multi -cpu EPYC,+svm -chardev file,id=record,path=console.raw");
    assert!(!args.contains("ttyS0") && args.contains("selftests guest "), "{args}");
    let path = std::fs::read_to_string(dir.path().join("path")).unwrap();
    assert!(path.starts_with(&dir.path().display().to_string()), "{path}");
}

/// What vng started dies with it, whatever ends it.
#[test]
fn one_that_hangs_is_ended_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let script =
        format!("sleep 1000 & echo $! > {}; echo said > console.raw; echo x >> qemu.stderr; exit 9", pid.display());
    let started = Instant::now();
    booted(&script).1.unwrap_err();
    assert!(started.elapsed().as_secs() < 20);
    let pid: u32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    let alive = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    for _ in 0..100 {
        if !alive() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{pid} is left");
}
