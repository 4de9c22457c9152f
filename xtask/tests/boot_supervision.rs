// SPDX-License-Identifier: GPL-2.0-only
//! The supervision of a machine, with shell scripts in QEMU's place: each way in
//! which a boot can end, in milliseconds.

#![expect(clippy::unwrap_used, reason = "what a helper cannot do ends its test")]

use std::time::{Duration, Instant};

use selftests::cell::catalogue;
use selftests::plan::Plan;
use selftests::protocol::{CellEnd, Envelope, Frame, PROTOCOL, encode};
use xtask::boot::{Deadlines, Machine, supervise};
use xtask::error::Error;
use xtask::progress::Progress;
use xtask::transcript::{Ending, Transcript};

const BANNER: &str = "[    0.000000] Linux version 6.1.192 (builder) (gcc) #1 SMP";
const PANIC: &str = "[    1.713020] Kernel panic - not syncing: test";

fn deadlines() -> Deadlines {
    let long = Duration::from_secs(20);
    Deadlines {
        stillborn: Duration::from_millis(1),
        qemu_start: long,
        first_printk: long,
        hello: long,
        frame: long,
        power_off: long,
        total: long,
        drain: Duration::from_millis(200),
    }
}

const SHORT: Duration = Duration::from_millis(200);

fn frames() -> Vec<Envelope> {
    let cell = catalogue()[0];
    let hello = Frame::Hello { protocol: PROTOCOL, kernel: "6.1.192".into(), nested: "svm".into(), uptime_ms: 800 };
    let result = Frame::Result { cell, outcome: CellEnd::Complete { trials: 1 } };
    [hello, Frame::Plan { cells: vec![cell] }, Frame::Start { cell }, result, Frame::Bye { frames: 4 }]
        .into_iter()
        .zip(0..)
        .map(|(frame, seq)| Envelope { seq, frame })
        .collect()
}

/// Runs `script` as the machine. In its folder are `hello` (the first frame in its
/// wire format), `rest` (all others) and `cut` (half of the first).
fn run(script: &str, deadlines: Deadlines) -> (tempfile::TempDir, Result<Transcript, Error>) {
    let dir = tempfile::tempdir().unwrap();
    let wire: Vec<Vec<u8>> = frames().iter().map(|frame| encode(frame).unwrap()).collect();
    std::fs::write(dir.path().join("hello"), &wire[0]).unwrap();
    std::fs::write(dir.path().join("rest"), wire[1..].concat()).unwrap();
    std::fs::write(dir.path().join("cut"), &wire[0][..wire[0].len() / 2]).unwrap();
    let script = format!("say() {{ echo \"$1\" >> console.raw; }}; frames() {{ cat $1 >> frames.bin; }}; {script}");
    let argv = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
    let transcript =
        supervise(&Machine { argv, dir: dir.path().to_owned(), deadlines }, 1, Progress::silent().phase("a guest"));
    (dir, transcript)
}

fn classes(transcript: &Transcript) -> Vec<&str> {
    transcript.findings.iter().map(|finding| finding.class.as_str()).collect()
}

fn timed_out(phase: &str) -> Ending {
    Ending::TimedOut { phase: phase.to_owned(), deadline_ms: 200 }
}

#[test]
fn a_whole_boot() {
    let script = format!("say '{BANNER}'; sleep 0.1; frames hello; sleep 0.05; frames rest; say 'reboot: Power down'");
    let (dir, transcript) = run(&script, deadlines());
    let transcript = transcript.unwrap();
    assert_eq!(transcript.ending, Ending::Exited { code: 0 });
    assert_eq!((transcript.frames, transcript.stream_error), (frames(), None));
    assert_eq!(transcript.findings, []);
    let (boot, total) = (transcript.boot_ms.unwrap(), transcript.total_ms);
    // Both are counted from a moment after the start, later on a busy host.
    assert!(20 <= boot && boot + 20 <= total, "boot {boot} ms, total {total} ms");
    let lines = std::fs::read_to_string(dir.path().join("frames.jsonl")).unwrap();
    let stored: Vec<Envelope> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(stored, frames());
}

#[test]
fn the_command_is_on_disk_before_the_start() {
    let (dir, transcript) = run("cp argv.json seen.json; cp replay.sh seen.sh", deadlines());
    transcript.unwrap();
    let argv: Vec<String> = serde_json::from_slice(&std::fs::read(dir.path().join("seen.json")).unwrap()).unwrap();
    assert_eq!(argv[..2], ["/bin/sh", "-c"]);
    assert!(std::fs::read_to_string(dir.path().join("seen.sh")).unwrap().contains("exec /bin/sh -c "));
}

#[test]
fn a_replay_runs_the_same_command_elsewhere() {
    let (dir, transcript) = run("echo \"it's $0\" > console.raw", deadlines());
    transcript.unwrap();
    let status = std::process::Command::new(dir.path().join("replay.sh")).status().unwrap();
    assert!(status.success());
    let replayed = std::fs::read(dir.path().join("replay/console.raw")).unwrap();
    assert_eq!(replayed, std::fs::read(dir.path().join("console.raw")).unwrap());
}

#[test]
fn an_end_before_the_first_word_is_qemus_own() {
    let script =
        "echo \"qemu: warning: TCG doesn't support requested feature: X\" >&2; echo 'no such machine' >&2; exit 1";
    let (dir, transcript) = run(script, deadlines());
    let stderr = "QEMU exited with status 1: no such machine".to_owned();
    assert_eq!(transcript.unwrap().ending, Ending::FailedToStart { stderr });
    let whole = std::fs::read_to_string(dir.path().join("qemu.stderr")).unwrap();
    assert!(whole.contains("warning: TCG") && whole.contains("no such machine"));
    let stillborn = Deadlines { stillborn: Duration::from_secs(20), ..deadlines() };
    let stderr = "QEMU exited with status 0: it said nothing".to_owned();
    assert_eq!(run("exit 0", stillborn).1.unwrap().ending, Ending::FailedToStart { stderr });
    let aborted = run("kill -ABRT $$", deadlines()).1.unwrap().ending;
    assert!(matches!(&aborted, Ending::FailedToStart { stderr } if stderr.contains("SIGABRT")), "{aborted:?}");
}

#[test]
fn a_kernel_that_dies_wordless_is_not_qemus_fault() {
    assert_eq!(run("sleep 0.05; exit 0", deadlines()).1.unwrap().ending, Ending::Exited { code: 0 });
}

#[test]
fn a_program_that_is_not_there_is_an_error_with_the_command() {
    let dir = tempfile::tempdir().unwrap();
    let argv = vec!["/nonexistent/qemu".to_owned(), "-M".to_owned(), "q35".to_owned()];
    let machine = Machine { argv, dir: dir.path().to_owned(), deadlines: deadlines() };
    let error = supervise(&machine, 1, Progress::silent().phase("a guest")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/qemu -M q35"), "{error}");
    assert_eq!(error.exit_code(), 110);
}

#[test]
fn each_silence_has_its_name() {
    let qemu_start = Deadlines { qemu_start: SHORT, ..deadlines() };
    assert_eq!(run("sleep 60", qemu_start).1.unwrap().ending, timed_out("qemu-start"));
    let first_printk = Deadlines { first_printk: SHORT, ..deadlines() };
    assert_eq!(run(": > console.raw; sleep 60", first_printk).1.unwrap().ending, timed_out("first-printk"));
    let hello = Deadlines { hello: SHORT, ..deadlines() };
    assert_eq!(run(&format!("say '{BANNER}'; sleep 60"), hello).1.unwrap().ending, timed_out("hello"));
    let frame = Deadlines { frame: SHORT, ..deadlines() };
    let hung = run(&format!("say '{BANNER}'; frames hello; sleep 60"), frame).1.unwrap();
    assert_eq!((hung.ending, hung.frames.len()), (timed_out("frame"), 1));
    let power_off = Deadlines { power_off: SHORT, ..deadlines() };
    let hung = run(&format!("say '{BANNER}'; frames hello; frames rest; sleep 60"), power_off).1.unwrap();
    assert_eq!((hung.ending, hung.frames.len()), (timed_out("power-off"), 5));
}

#[test]
fn frames_for_ever_end_at_the_total() {
    let total = Deadlines { total: SHORT, ..deadlines() };
    let script = format!("say '{BANNER}'; while :; do frames hello; sleep 0.02; done");
    assert_eq!(run(&script, total).1.unwrap().ending, timed_out("total"));
}

#[test]
fn a_panic_is_read_to_the_end_of_its_trace_and_killed() {
    let script = format!("say '{BANNER}'; frames hello; say '{PANIC}'; sleep 0.05; say 'Call Trace:'; sleep 60");
    let started = Instant::now();
    let drain = Deadlines { drain: Duration::from_secs(1), ..deadlines() };
    let transcript = run(&script, drain).1.unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(transcript.ending, Ending::KilledAfterCrash);
    assert_eq!(classes(&transcript), ["panic"]);
    assert_eq!(transcript.findings[0].excerpt, [PANIC, "Call Trace:"]);
}

#[test]
fn a_panic_that_ends_qemu_is_an_exit_with_a_finding() {
    let transcript = run(&format!("say '{BANNER}'; frames hello; say '{PANIC}'"), deadlines()).1.unwrap();
    assert_eq!(transcript.ending, Ending::Exited { code: 0 });
    assert!(transcript.findings[0].fatal);
}

#[test]
fn an_oops_after_bye_is_found() {
    let script = format!(
        "say '{BANNER}'; frames hello; frames rest; sleep 0.1; \
         say '[    3.0] BUG: kernel NULL pointer dereference, address: 0000000000000008'; exit 0"
    );
    let transcript = run(&script, deadlines()).1.unwrap();
    assert_eq!((transcript.frames.len(), classes(&transcript)), (5, vec!["oops"]));
    assert!(transcript.findings[0].fatal);
}

#[test]
fn a_warning_does_not_end_the_boot() {
    let script = format!(
        "say '{BANNER}'; frames hello; say '[    1.0] WARNING: CPU: 1 PID: 61 at mm/memory.c:1 x+0x1/0x2'; \
         sleep 0.4; frames rest"
    );
    let transcript = run(&script, deadlines()).1.unwrap();
    assert_eq!((transcript.frames.len(), classes(&transcript)), (5, vec!["warning"]));
    assert_eq!(transcript.ending, Ending::Exited { code: 0 });
}

#[test]
fn a_machine_killed_by_somebody_else_is_told_apart() {
    let script = format!("say '{BANNER}'; frames hello; echo 'last words' >&2; kill -9 $$");
    let stderr = "last words".to_owned();
    assert_eq!(run(&script, deadlines()).1.unwrap().ending, Ending::Signaled { signal: 9, stderr });
    let silent = run("kill -9 $$", deadlines()).1.unwrap().ending;
    assert!(matches!(silent, Ending::Signaled { signal: 9, .. }), "{silent:?}");
    let script = format!("say '{BANNER}'; echo 'disk full' >&2; exit 1");
    let stderr = "disk full".to_owned();
    assert_eq!(run(&script, deadlines()).1.unwrap().ending, Ending::Failed { code: 1, stderr });
    let script = format!("say '{BANNER}'; echo 'qemu: terminating on signal 15 from pid 1 (init)' >&2");
    assert!(matches!(run(&script, deadlines()).1.unwrap().ending, Ending::Signaled { signal: 15, .. }));
}

#[test]
fn a_cut_frame_is_a_stream_error() {
    let transcript = run(&format!("say '{BANNER}'; frames hello; frames cut"), deadlines()).1.unwrap();
    assert_eq!(transcript.frames.len(), 1);
    assert!(transcript.stream_error.unwrap().contains("ends inside a frame"));
}

#[test]
fn noise_on_the_port_is_a_stream_error_and_ends_the_boot() {
    let script = format!("say '{BANNER}'; frames hello; echo '[    0.000000] Linux version' >> frames.bin; sleep 60");
    let transcript = run(&script, deadlines()).1.unwrap();
    assert_eq!((transcript.frames.len(), transcript.ending), (1, Ending::KilledAfterCrash));
    assert!(transcript.stream_error.unwrap().contains("broken"));
}

#[test]
fn nothing_of_an_earlier_boot_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("console.raw"), format!("{BANNER}\n{PANIC}\n")).unwrap();
    std::fs::write(dir.path().join("frames.bin"), encode(&frames()[0]).unwrap()).unwrap();
    let argv = ["/bin/sh", "-c", "echo hello > console.raw"].map(str::to_owned).to_vec();
    let machine = Machine { argv, dir: dir.path().to_owned(), deadlines: deadlines() };
    let transcript = supervise(&machine, 1, Progress::silent().phase("a guest")).unwrap();
    assert_eq!((transcript.frames, transcript.findings), (vec![], vec![]));
}

#[test]
fn deadlines_grow_with_patience_and_leave_room_for_the_kernels_own_reports() {
    let plan = Plan::of(catalogue());
    let (fast, slow) = (Deadlines::new(1.0, &plan), Deadlines::new(4.0, &plan));
    assert_eq!((fast.hello, slow.hello), (Duration::from_secs(8), Duration::from_secs(32)));
    assert_eq!((fast.frame, slow.frame), (Duration::from_secs(40), Duration::from_secs(160)));
    assert!(fast.first_printk < fast.hello && fast.hello < fast.total);
    // khungtaskd, the soft lockup detector and RCU need 20 s; PID 1 gives up a cell
    // after 20 s and has cleaned up after 30.
    assert!(fast.frame > Duration::from_secs(30));
    assert_eq!(Deadlines::new(f64::NAN, &plan).hello, fast.hello);
}
