// SPDX-License-Identifier: GPL-2.0-only
//! The table of console patterns against the kernel's own wordings, its healthy
//! lookalikes, and whole consoles cut at any border.

use proptest::prelude::*;
use xtask::console::patterns::{PATTERNS, Severity};
use xtask::console::{FLOOD, REBOOT, Scanner, row, scan};

const ROWS: &str = include_str!("fixtures/console/rows.txt");
const BENIGN: &str = include_str!("fixtures/console/benign.txt");
const BOOT_6_1: &[u8] = include_bytes!("fixtures/console/boot-6.1.raw");
const BOOT_7_3: &[u8] = include_bytes!("fixtures/console/boot-7.3.raw");
const PANIC_6_1: &[u8] = include_bytes!("fixtures/console/panic-6.1.raw");

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty())
}

#[test]
fn every_row_has_a_line_and_every_line_its_row() {
    let mut seen = vec![false; PATTERNS.len()];
    for fixture in lines(ROWS) {
        let (class, line) = fixture.split_once('\t').unwrap_or_else(|| panic!("no tab in {fixture:?}"));
        let row = row(line.as_bytes()).unwrap().unwrap_or_else(|| panic!("nothing recognises {line:?}"));
        assert_eq!(PATTERNS[row].class, class, "{line:?} is taken by {:?}", PATTERNS[row]);
        seen[row] = true;
    }
    let missing: Vec<_> = PATTERNS.iter().zip(seen).filter_map(|(row, seen)| (!seen).then_some(row)).collect();
    assert!(missing.is_empty(), "rows.txt has no line for {missing:#?}");
}

#[test]
fn every_row_says_why() {
    assert!(PATTERNS.iter().all(|row| !row.why.is_empty() && !row.class.is_empty()));
}

#[test]
fn lookalikes_are_left_alone() {
    for line in lines(BENIGN) {
        assert_eq!(row(line.as_bytes()).unwrap().map(|row| PATTERNS[row]).map(|row| row.regex), None, "{line:?}");
    }
}

#[test]
fn healthy_boots_have_no_fatal_finding() {
    for boot in [BOOT_6_1, BOOT_7_3] {
        let fatal: Vec<_> = scan(boot).unwrap().into_iter().filter(|finding| finding.fatal).collect();
        assert_eq!(fatal, []);
    }
}

#[test]
fn a_panic_is_found_with_its_trace() {
    let findings = scan(PANIC_6_1).unwrap();
    let panic = findings.iter().find(|finding| finding.class == "init-died").unwrap();
    assert!(panic.fatal && panic.line.contains("exitcode=0x00000b00"), "{panic:?}");
    assert!(panic.excerpt.iter().any(|line| line.contains("do_group_exit")), "{:#?}", panic.excerpt);
    let at = usize::try_from(panic.offset).unwrap();
    assert!(PANIC_6_1[at..].starts_with(panic.line.as_bytes()));
}

#[test]
fn a_second_banner_is_a_reboot_and_ends_the_boot() {
    let mut scanner = Scanner::new().unwrap();
    scanner.push(BOOT_6_1);
    assert!(!scanner.ended());
    scanner.push(b"half a line[    0.000000] Linux version 6.1.192 (root@vm) (gcc 12.2.0)\r\n");
    assert!(scanner.ended());
    let findings = scanner.finish();
    assert_eq!(findings.last().unwrap().class, REBOOT);
}

#[test]
fn a_warning_taints_and_does_not_end() {
    let mut scanner = Scanner::new().unwrap();
    scanner.push(b"[    4.2] WARNING: CPU: 1 PID: 61 at mm/memory.c:3721 do_swap_page+0x81/0x900\n");
    assert!(!scanner.ended());
    assert!(scanner.finish()[0].fatal);
}

#[test]
fn escape_sequences_and_broken_text_hide_nothing() {
    let findings = scan(b"\x1b[1;31m[    1.0] Kernel \x1b[0mpanic - \xff\xfe\0not syncing: x\x1b[K\r\n").unwrap();
    assert!(findings.is_empty(), "bytes in the middle of the words make other words: {findings:?}");
    let findings = scan(b"\xff\xfe\x1b[1;31m[    1.0] Kernel \x1b[0mpanic - not syncing: \xff\x1b[K\r\n").unwrap();
    assert_eq!(findings[0].class, "panic");
    assert!(!findings[0].line.contains('\x1b') && !findings[0].line.contains('\r'));
}

#[test]
fn a_last_line_without_an_end_counts() {
    assert_eq!(scan(b"[    1.0] Kernel panic - not syncing: x").unwrap().len(), 1);
}

#[test]
fn an_excerpt_is_at_most_sixty_lines() {
    let mut console = b"[    1.0] kernel BUG at mm/memory.c:1!\n".to_vec();
    console.extend((0..200).flat_map(|n| format!("[    1.0] line {n}\n").into_bytes()));
    let findings = scan(&console).unwrap();
    assert_eq!((findings.len(), findings[0].excerpt.len()), (1, 60));
    assert_eq!(findings[0].excerpt[59], "[    1.0] line 58");
}

#[test]
fn a_storm_is_cut_and_its_end_is_still_seen() {
    let mut console = b"[    1.0] WARNING: CPU: 0 PID: 1 at mm/memory.c:1 x+0x1/0x2\n".repeat(5000);
    console.extend(b"[    9.0] Kernel panic - not syncing: enough\n");
    let findings = scan(&console).unwrap();
    assert_eq!(findings.len(), 102);
    assert_eq!(findings[100].class, FLOOD);
    assert_eq!(findings[101].class, "panic");
}

#[test]
fn noise_without_line_ends_takes_bounded_memory() {
    let mut console = vec![b'x'; 1 << 20];
    console.extend(b"\n[    9.0] Kernel panic - not syncing: enough\n");
    let findings = scan(&console).unwrap();
    assert_eq!(findings[0].offset, (1 << 20) + 1);
}

#[test]
fn only_what_ends_a_kernel_ends() {
    let ends: Vec<_> = PATTERNS.iter().filter(|row| row.severity == Severity::Ends).map(|row| row.class).collect();
    for class in ["warning", "lockdep", "kasan", "hung-task", "rcu-stall", "soft-lockup"] {
        assert!(!ends.contains(&class), "{class}: the kernel goes on after it, and its frames are evidence");
    }
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_findings(cuts in prop::collection::vec(1usize..400, 1..200)) {
        let mut console = ROWS.as_bytes().to_vec();
        console.extend(PANIC_6_1);
        console.extend(BOOT_6_1);
        let mut scanner = Scanner::new().unwrap();
        let (mut rest, mut cuts) = (&console[..], cuts.iter().cycle());
        while let Some(&cut) = cuts.next().filter(|_| !rest.is_empty()) {
            let (chunk, tail) = rest.split_at(cut.min(rest.len()));
            scanner.push(chunk);
            rest = tail;
        }
        prop_assert_eq!(scanner.finish(), scan(&console).unwrap());
    }

    #[test]
    fn no_bytes_make_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(scan(&bytes).is_ok());
    }
}
