// SPDX-License-Identifier: GPL-2.0-only
//! The doctor on invented hosts: a PATH of scripts, a meminfo, a device.

#![expect(clippy::unwrap_used, reason = "clippy's exception for tests does not reach their helpers")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use xtask::cmd::doctor::line;
use xtask::doctor::{Depth, Finding, Host, Need, REQUIREMENTS, Rights, State, check, command, demand, missing};

/// A host on which everything is there.
struct Fake {
    folder: tempfile::TempDir,
    host: Host,
}

const GCC: &str = r#"case "$1" in -dumpfullversion) echo 12.2.0;; -print-file-name=*) echo "/lib/${1#*=}";; esac"#;

impl Fake {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("bin")).unwrap();
        fs::write(path("meminfo"), "MemTotal:       16000000 kB\nMemFree: 1 kB\n").unwrap();
        fs::write(path("kvm"), "").unwrap();
        let host =
            Host { path: path("bin").into(), cache: path("not/there/yet"), meminfo: path("meminfo"), kvm: path("kvm") };
        let fake = Self { folder, host };
        for program in ["ld", "flex", "bison", "bc", "gzip", "apt-get", "dpkg-deb", "ccache", "rustc", "gdb"] {
            fake.program(program, "");
        }
        fake.program("gcc", GCC);
        fake.program("make", "echo GNU Make 4.3");
        fake.program("vng", "echo virtme-ng 1.42");
        fake.program("qemu-system-x86_64", "echo 'QEMU emulator version 7.2.22 (Debian)'");
        fake
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Another process writes it: a descriptor of ours, inherited by what another
    /// test starts at this moment, would make the script "busy" (ETXTBSY).
    fn program(&self, name: &str, script: &str) {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod 755 "$1""#, "sh"]);
        let status = shell.arg(self.path("bin").join(name)).arg(script).status().unwrap();
        assert!(status.success());
    }

    fn lacks(&self, name: &str) {
        fs::remove_file(self.path("bin").join(name)).unwrap();
    }

    fn finding(&self, name: &str) -> Finding {
        let findings = check(&self.host, Depth::Full).unwrap();
        findings.into_iter().find(|finding| finding.name == name).unwrap()
    }

    fn not_ok(&self) -> Vec<&'static str> {
        let findings = check(&self.host, Depth::Full).unwrap();
        // The disk of the machine that runs the tests is its own matter.
        let bad = findings.iter().filter(|finding| finding.state != State::Ok && finding.name != "disk space");
        bad.map(|finding| finding.name).collect()
    }
}

#[test]
fn virtme_ng_comes_from_pipx_and_is_not_demanded() {
    let fake = Fake::new();
    fake.lacks("vng");
    let finding = fake.finding("virtme-ng");
    assert_eq!((finding.state, finding.mend.as_str()), (State::Optional, "pipx install virtme-ng"));
    fake.program("vng", "echo virtme-ng 1.9");
    assert!(fake.finding("virtme-ng").found.contains("older than 1.42"));
}

#[test]
fn a_host_with_everything_is_well() {
    let fake = Fake::new();
    assert_eq!(fake.not_ok(), [""; 0]);
    assert_eq!(fake.finding("QEMU").found, "QEMU emulator version 7.2.22 (Debian)");
    assert!(line(&fake.finding("make")).starts_with("ok        make "));
}

#[test]
fn a_missing_program_is_named_with_its_mend() {
    let fake = Fake::new();
    fake.lacks("flex");
    fake.lacks("ccache");
    assert_eq!(fake.not_ok(), ["flex", "ccache"]);
    assert_eq!((fake.finding("flex").state, fake.finding("ccache").state), (State::Missing, State::Optional));
    let text = line(&fake.finding("flex"));
    assert!(text.starts_with("missing   flex") && text.ends_with(": apt-get install flex"), "{text}");
    let findings = check(&fake.host, Depth::Quick).unwrap();
    let error = demand(&findings).unwrap_err();
    assert_eq!(error.exit_code(), 110);
    assert!(error.to_string().contains("flex: no flex in PATH"), "{error}");
}

#[test]
fn a_file_that_is_no_program_does_not_count() {
    let fake = Fake::new();
    fs::set_permissions(fake.path("bin").join("bc"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(fake.not_ok(), ["bc"]);
}

#[test]
fn an_old_or_strange_version_does_not_count() {
    let fake = Fake::new();
    fake.program("qemu-system-x86_64", "echo 'QEMU emulator version 5.2.0'");
    assert_eq!(fake.finding("QEMU").found, "QEMU emulator version 5.2.0 is older than 7.2");
    fake.program("qemu-system-x86_64", "echo hello");
    assert!(fake.finding("QEMU").found.contains("holds no version"));
    fake.program("qemu-system-x86_64", "echo broken >&2; exit 1");
    assert!(fake.finding("QEMU").found.contains("failed: broken"));
}

#[test]
fn headers_libraries_and_static_rust_are_asked_of_their_compilers() {
    let fake = Fake::new();
    fake.program(
        "gcc",
        &format!("case \"$1\" in -fsyntax-only) echo 'x.c:1:10: fatal error: x: No such file or directory' >&2; exit 1;; -print-file-name=*) echo libc.a; exit 0;; esac; {GCC}"),
    );
    fake.program("rustc", "echo 'error: linking failed' >&2; exit 1");
    assert_eq!(fake.not_ok(), ["C library headers", "libelf headers", "static C library", "static Rust programs"]);
    assert_eq!(fake.finding("libelf headers").found, "no <gelf.h>");
    assert_eq!(fake.finding("static C library").package, Some("libc6-dev"));
    let quick = check(&fake.host, Depth::Quick).unwrap();
    assert!(!quick.iter().any(|finding| finding.name == "static Rust programs"));
}

#[test]
fn little_memory_and_no_kvm_are_only_said() {
    let mut fake = Fake::new();
    fs::write(&fake.host.meminfo, "MemTotal: 1000000 kB\n").unwrap();
    fake.host.kvm = fake.path("none");
    assert_eq!(fake.not_ok(), ["memory", "/dev/kvm"]);
    assert_eq!(missing(&check(&fake.host, Depth::Quick).unwrap()).iter().filter(|f| f.name != "disk space").count(), 0);
    assert!(fake.finding("memory").found.contains("0.9 GiB in all, 2 GiB are needed"));
}

#[test]
fn an_empty_host_still_gets_every_answer() {
    let fake = Fake::new();
    let host = Host { path: "".into(), meminfo: "/none".into(), kvm: "/none".into(), ..fake.host.clone() };
    let findings = check(&host, Depth::Full).unwrap();
    assert_eq!(findings.len(), REQUIREMENTS.len());
    for (finding, row) in findings.iter().zip(REQUIREMENTS).filter(|(finding, _)| finding.name != "disk space") {
        assert_eq!(
            finding.state,
            if row.need == Need::Must { State::Missing } else { State::Optional },
            "{}",
            row.name
        );
        assert!(!finding.mend.is_empty() && !finding.why.is_empty() && !line(finding).contains('\n'));
    }
}

#[test]
fn the_command_is_one_that_can_be_pasted() {
    assert_eq!(
        command(&["bc", "flex"], Rights::None),
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends bc flex"
    );
    assert!(command(&["bc"], Rights::Root).starts_with("apt-get update && apt-get install"));
}

#[test]
fn the_machine_readable_answer_has_its_fields() {
    let fake = Fake::new();
    fake.lacks("bc");
    let json = serde_json::to_value(fake.finding("bc")).unwrap();
    assert_eq!(json["state"], "missing");
    assert_eq!(json["package"], "bc");
    assert_eq!(json["mend"], "apt-get install bc");
}

#[test]
fn nothing_here_names_an_archive() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/doctor");
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("http:") && !text.contains("https:"));
    }
}
