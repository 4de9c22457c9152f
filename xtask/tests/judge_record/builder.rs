// SPDX-License-Identifier: GPL-2.0-only
//! Transcripts as a guest would send them, made of a rule that says who is held.

use std::path::{Path, PathBuf};

use selftests::cell::{Cell, Control, Path as CellPath, Probe, Situation};
use selftests::lost::Lost;
use selftests::plan::{Plan, select};
use selftests::protocol::{CellEnd, Envelope, Frame, Meanwhile, PROTOCOL, ProbeSample, Sample};
use xtask::outcome::{SideOutcome, TargetOutcome};
use xtask::store::RunInfo;
use xtask::target::{Expected, Target};
use xtask::transcript::{Ending, Finding, Transcript};
use xtask::variant::Variant;
use xtask::{judge, verdict::Verdict};

pub(crate) const TRIALS: u32 = 3;

pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub(crate) fn target(name: &str) -> Target {
    Target::load(&checkout().join("patches"), name).unwrap()
}

/// A run with this plan.
pub(crate) fn run_info(plan: &Plan) -> RunInfo {
    RunInfo::new(&["xtask".to_owned()], "tcg", Variant::Measure, plan, None)
}

/// The same run with the trials that a reference must have.
pub(crate) fn claimed(plan: &Plan) -> RunInfo {
    run_info(&Plan { trials: selftests::plan::TRIALS, ..plan.clone() })
}

/// A plan of the cells that match; the controls are always in.
pub(crate) fn plan(globs: &[&str]) -> Plan {
    let globs: Vec<String> = globs.iter().map(|&glob| glob.to_owned()).collect();
    Plan { trials: TRIALS, probes: Probe::first_two(), ..Plan::of(select(&globs).unwrap().cells) }
}

pub(crate) fn cell(name: &str) -> Cell {
    name.parse().unwrap()
}

fn symbols(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Who waits for the IO, as /proc/PID/stack says it.
fn waiter(cell: Cell, held: bool) -> Vec<String> {
    match cell.situation {
        Situation::Control(Control::Held) => symbols(&["folio_wait_bit_common", "__access_remote_vm", "mem_rw"]),
        Situation::Control(Control::Released) => symbols(&["blk_io_schedule", "blkdev_direct_IO"]),
        Situation::Fault(_, CellPath::ApfHalt, _) if !held => {
            symbols(&["folio_wait_bit_common", "do_swap_page", "async_pf_execute", "process_one_work"])
        }
        Situation::Fault(_, path @ (CellPath::User | CellPath::ProcessVm | CellPath::Odirect), _) => {
            let call = match path {
                CellPath::ProcessVm => "process_vm_rw",
                CellPath::Odirect => "get_user_pages_fast",
                _ => "asm_exc_page_fault",
            };
            symbols(&["folio_wait_bit_common", "do_swap_page", call])
        }
        Situation::Fault(..) => symbols(&[
            "blk_io_schedule",
            "swap_readpage",
            "swap_cluster_readahead",
            "swapin_readahead",
            "do_swap_page",
            "__handle_mm_fault",
            "handle_mm_fault",
            "__get_user_pages",
            "get_user_pages_unlocked",
            "hva_to_pfn",
            "kvm_arch_vcpu_ioctl_run",
            "kvm_vcpu_ioctl",
        ]),
    }
}

/// One trial; `writer` and `reader` say who is held.
pub(crate) fn sample(cell: Cell, trial: u32, writer: bool, reader: bool) -> Sample {
    let met = |probe, held: bool| ProbeSample {
        probe,
        wait_ms: if held { 101.5 + f64::from(trial) } else { 1.25 + f64::from(trial) / 10.0 },
        returned_during_hold: !held,
        blocked_in: match (held, probe) {
            (false, _) => Vec::new(),
            (true, Probe::Writer | Probe::Bystander) => symbols(&["vm_mmap_pgoff", "do_syscall_64"]),
            (true, Probe::WriterSameVma) => symbols(&["do_mprotect_pkey", "do_syscall_64"]),
            (true, Probe::Reader) => symbols(&["m_start", "seq_read_iter", "vfs_read"]),
        },
    };
    let path = match cell.situation {
        Situation::Fault(_, path, _) => path,
        Situation::Control(_) => CellPath::User,
    };
    let apf = path.is_async();
    Sample {
        trial,
        hold_ms: if writer || reader { 103.0 + f64::from(trial) } else { 5.5 },
        withheld_bytes: 4096,
        async_pf: Some(u32::from(apf && !writer)),
        meanwhile: (path == CellPath::ApfGuest).then(|| {
            let told = u64::from(!writer);
            Meanwhile { told, injected: Some(u32::from(!writer)), progress: 1000 * told }
        }),
        probes: vec![met(Probe::Writer, writer), met(Probe::Reader, reader)],
        waiter: waiter(cell, writer),
    }
}

/// A complete boot. `held` rules over fault cells; the controls are as they must be.
pub(crate) fn boot(plan: &Plan, held: impl Fn(Cell, Probe) -> bool) -> Transcript {
    boot_or_skip(plan, |_| false, held)
}

/// The same, but for the fault cells that are skipped.
fn boot_or_skip(plan: &Plan, skips: impl Fn(Cell) -> bool, held: impl Fn(Cell, Probe) -> bool) -> Transcript {
    let mut frames = vec![
        Frame::Hello { protocol: PROTOCOL, kernel: "6.1.192".to_owned(), nested: "svm".to_owned(), uptime_ms: 800 },
        Frame::Plan { cells: plan.cells.clone() },
        Frame::Note { text: "page-cluster 0".to_owned() },
    ];
    for &cell in &plan.cells {
        let held = |probe| match cell.situation {
            Situation::Control(control) => control == Control::Held,
            Situation::Fault(..) => held(cell, probe),
        };
        frames.push(Frame::Start { cell });
        if skips(cell) {
            let outcome = CellEnd::Lost(Lost::Skipped { reason: "this kernel has no such memory".to_owned() });
            frames.push(Frame::Result { cell, outcome });
            continue;
        }
        for trial in 0..plan.trials {
            let sample = sample(cell, trial, held(Probe::Writer), held(Probe::Reader));
            frames.push(Frame::Sample { cell, sample });
        }
        frames.push(Frame::Result { cell, outcome: CellEnd::Complete { trials: plan.trials } });
    }
    let count = u32::try_from(frames.len()).unwrap();
    frames.push(Frame::Bye { frames: count });
    let frames = frames.into_iter().zip(0..).map(|(frame, seq)| Envelope { seq, frame }).collect();
    Transcript {
        frames,
        stream_error: None,
        findings: Vec::new(),
        ending: Ending::Exited { code: 0 },
        boot_ms: Some(1900),
        total_ms: 9000,
    }
}

/// A boot that shows what `target` expects of `side`.
pub(crate) fn as_expected(target: &Target, side: &str, plan: &Plan) -> Transcript {
    let skips = |cell: Cell| target.declared_skip(&cell.name(), cell.window).is_some();
    boot_or_skip(plan, skips, |cell, probe| {
        let row = target.expected(side, &cell.name(), cell.window, &probe.to_string()).unwrap();
        row.sides[side] == Expected::Held
    })
}

/// Both sides of v6.1 as they are expected.
pub(crate) fn both(target: &Target, plan: &Plan) -> Vec<(&'static str, Transcript)> {
    ["baseline", "patched"].map(|side| (side, as_expected(target, side, plan))).to_vec()
}

pub(crate) fn judged(target: &Target, plan: &Plan, boots: &[(&str, Transcript)]) -> TargetOutcome {
    let one = |(side, transcript): &(&str, Transcript)| judge::side(side, transcript, plan, &target.tolerate);
    let sides: Vec<SideOutcome> = boots.iter().map(one).collect();
    judge::target(target, "6.1.192", sides, plan, Variant::Measure)
}

/// Numbers the frames anew and makes bye's count right: what is left is only wrong
/// in what it says.
pub(crate) fn renumber(transcript: &mut Transcript) {
    for (envelope, seq) in transcript.frames.iter_mut().zip(0..) {
        envelope.seq = seq;
        if let Frame::Bye { frames } = &mut envelope.frame {
            *frames = seq;
        }
    }
}

/// Changes every sample of the cell.
pub(crate) fn each_sample(transcript: &mut Transcript, of: &str, mut change: impl FnMut(&mut Sample)) {
    for envelope in &mut transcript.frames {
        match &mut envelope.frame {
            Frame::Sample { cell, sample } if cell.to_string() == of => change(sample),
            _ => {}
        }
    }
}

/// Takes the cell's samples out and ends it in another way.
pub(crate) fn end_as(transcript: &mut Transcript, of: &str, end: &CellEnd) {
    transcript
        .frames
        .retain(|envelope| !matches!(&envelope.frame, Frame::Sample { cell, .. } if cell.to_string() == of));
    for envelope in &mut transcript.frames {
        match &mut envelope.frame {
            Frame::Result { cell, outcome } if cell.to_string() == of => *outcome = end.clone(),
            _ => {}
        }
    }
    renumber(transcript);
}

pub(crate) fn finding(class: &str, line: &str) -> Finding {
    Finding {
        class: class.to_owned(),
        fatal: true,
        line: line.to_owned(),
        offset: 4711,
        excerpt: vec![line.to_owned()],
    }
}

/// The verdict and all reasons in one text.
pub(crate) fn told(verdict: Verdict, reasons: &[String]) -> String {
    format!("{verdict}: {}", reasons.join("\n"))
}
