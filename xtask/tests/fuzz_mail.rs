// SPDX-License-Identifier: GPL-2.0-only
//! Mails and patches, mutated: no panic, no hang, no path that leads out of the tree,
//! and what applies can be taken back.
//!
//! The corpus is the hostile mails, all committed series, and what was ever found
//! (tests/fixtures/fuzz/, one file a finding). Each test run mutates it a few hundred
//! times from a fixed seed. For longer:
//!
//! ```text
//! KVM_GUP_IO_FUZZ_SECONDS=600 cargo nextest run -p xtask --run-ignored all -E 'test(fuzz_for_long)'
//! ```

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use xtask::patch::{FileState, Patch, damage, fit_patch};
use xtask::review::submission::of_mail;
use xtask::series::mbox;
use xtask::target::Target;

/// No single input may take longer, on a busy machine and without optimisation.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is put into inputs: the words that the parsers look for.
const WORDS: [&str; 48] = [
    "From x Mon Sep 17 00:00:00 2001\n",
    "\n\n",
    "\r\n",
    "\0",
    "\u{202e}",
    "=?UTF-8?q?=00?=",
    "=?utf-8?b?////?=",
    "Subject: [PATCH v2 2/3] x\n",
    "Subject: Re: [PATCH] x\n",
    "[PATCH 0/1]",
    "[PATCH v4294967295 1/1]",
    "In-Reply-To: <1@example.org>\n",
    "Message-ID: <1@example.org>\n",
    "References: <1@example.org> <2@example.org>\n",
    "Content-Type: multipart/mixed; boundary=\"b\"\n",
    "--b\n",
    "--b--\n",
    "Content-Type: message/rfc822\n\n",
    "Content-Type: multipart/digest; boundary=b\n\n--b\n",
    "Content-Transfer-Encoding: base64\n",
    "Content-Transfer-Encoding: quoted-printable\n",
    "Content-Type: text/plain; charset=utf-16\n",
    "=\n",
    "=3D",
    "---\n",
    "-- \n",
    "diff --git a/x b/x\n",
    "diff --git \"a/\\303\" b/x\n",
    "new file mode 100644\n",
    "deleted file mode 100644\n",
    "old mode 100644\nnew mode 100755\n",
    "rename from mm/x.c\nrename to mm/y.c\n",
    "copy from mm/x.c\ncopy to mm/y.c\n",
    "--- a/mm/x.c\n+++ b/mm/x.c\n",
    "--- /dev/null\n",
    "+++ /dev/null\n",
    "@@ -1,3 +1,3 @@\n",
    "@@ -0,0 +1 @@\n",
    "@@ -4294967295,4294967295 +1 @@\n",
    "\\ No newline at end of file\n",
    "../",
    ".git/",
    "Reviewed-by: A <a@example.org>\n",
    "index 1111111..2222222 100644\n",
    "+++ b/mm/$(touch x)\n",
    ";x;",
    "`x`",
    "--x",
];

/// Numbers that look random, the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((value ^ (value >> 31)) % sides.max(1) as u64) as usize
    }
}

fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn files(dir: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn corpus() -> Vec<Vec<u8>> {
    let patches = Path::new(env!("CARGO_MANIFEST_DIR")).join("../patches");
    let mut corpus = [files(&fixtures("hostile")), files(&fixtures("fuzz"))].concat();
    for name in Target::names(&patches).unwrap() {
        let series: Vec<Vec<u8>> = Target::load(&patches, &name)
            .unwrap()
            .series()
            .unwrap()
            .iter()
            .map(|path| std::fs::read(path).unwrap())
            .collect();
        corpus.extend(series.iter().cloned());
        corpus.push(mbox::write(b"Subject: [PATCH 0/9] x\n\nWhy.\n", &series).concat());
    }
    corpus
}

fn mutated(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = corpus[dice.roll(corpus.len())].clone();
    for _ in 0..=dice.roll(8) {
        let at = dice.roll(bytes.len() + 1);
        let span = 1 << dice.roll(9);
        let end = (at + dice.roll(span)).min(bytes.len());
        match dice.roll(7) {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..at, WORDS[dice.roll(WORDS.len())].bytes())),
            2 => drop(bytes.splice(at..end, WORDS[dice.roll(WORDS.len())].bytes())),
            3 => bytes[at..end].iter_mut().for_each(|byte| *byte ^= 1 << dice.roll(8)),
            4 => {
                let piece = bytes[at..end].to_vec();
                let to = dice.roll(bytes.len() + 1);
                drop(bytes.splice(to..to, piece.repeat(1 + dice.roll(20))));
            }
            5 => {
                let other = &corpus[dice.roll(corpus.len())];
                let from = dice.roll(other.len() + 1);
                drop(bytes.splice(at..end, other[from..].iter().take(4096).copied().collect::<Vec<_>>()));
            }
            // A digit for a digit: counts, lines and modes that lie.
            _ => bytes[at..end]
                .iter_mut()
                .filter(|byte| byte.is_ascii_digit())
                .for_each(|byte| *byte = b'0' + dice.roll(10) as u8),
        }
        bytes.truncate(256 << 10);
    }
    bytes
}

/// A tree in which every file that a patch names has the text that it wants, as far as
/// one place each goes.
fn tree(patch: &Patch) -> BTreeMap<String, FileState> {
    let mut tree = BTreeMap::new();
    for file in &patch.files {
        let Some(old) = &file.old else { continue };
        let text: Vec<u8> = file
            .hunks
            .iter()
            .flat_map(|hunk| &hunk.lines)
            .filter(|line| line.kind != xtask::patch::LineKind::Added)
            .flat_map(|line| line.text.clone())
            .collect();
        tree.insert(old.clone(), FileState { mode: 0o100_644, bytes: text });
    }
    tree
}

/// What must hold of any input.
fn check(bytes: &[u8]) {
    let started = Instant::now();
    let found = damage::examine(bytes);
    let in_hunks: Vec<usize> = found.iter().filter(|damage| damage.hunk.is_some()).map(|damage| damage.line).collect();
    assert!(in_hunks.is_sorted(), "{in_hunks:?}");
    if let Ok(submission) = of_mail(bytes) {
        assert!(!submission.title.contains('\u{1b}') && !submission.title.contains('\n'));
        for entry in &submission.entries {
            assert!(!entry.name.contains('/') && !entry.name.starts_with('.'), "{}", entry.name);
            let Ok(patch) = &entry.parsed else { continue };
            check_patch(patch);
        }
    }
    assert!(started.elapsed() < PATIENCE, "it takes {:?}", started.elapsed());
}

fn check_patch(patch: &Patch) {
    for path in patch.files.iter().flat_map(|file| [&file.old, &file.new]).flatten() {
        let outside =
            path.starts_with('/') || path.split('/').any(|part| part == ".." || part.eq_ignore_ascii_case(".git"));
        assert!(!outside && !path.contains('\0') && !path.is_empty(), "{path}");
        assert!(!path.contains(['$', '`', ';', '|', '&', '(', '=', '%', ':', '"', '\'', '\\', '*']), "{path}");
        assert!(!path.split('/').any(|part| part.starts_with('-')), "{path}");
    }
    let tree = tree(patch);
    let read = |path: &str| Ok::<_, Infallible>(tree.get(path).cloned());
    let Ok(fitted) = fit_patch(patch, read);
    assert!(!fitted.fit.applies() || fitted.refused.is_empty());
    for (path, _) in &fitted.changes {
        assert!(patch.files.iter().any(|file| file.old.as_ref() == Some(path) || file.new.as_ref() == Some(path)));
    }
}

/// What applies becomes a commit, whoever wrote it, and what does not is told: no input
/// is a failure of ours.
fn check_commit(bytes: &[u8]) -> usize {
    let Ok(submission) = of_mail(bytes) else { return 0 };
    let patches: Vec<Patch> = submission.entries.into_iter().filter_map(|entry| entry.parsed.ok()).take(4).collect();
    let dir = tempfile::tempdir().unwrap();
    let repo = git2::Repository::init_bare(dir.path()).unwrap();
    let empty = repo.find_tree(repo.treebuilder(None).unwrap().write().unwrap()).unwrap();
    let mut update = git2::build::TreeUpdateBuilder::new();
    for (path, state) in patches.iter().take(1).flat_map(tree) {
        update.upsert(path, repo.blob(&state.bytes).unwrap(), git2::FileMode::Blob);
    }
    // A patch may name a file below another one: there is no such tree.
    let Ok(tree) = update.create_updated(&repo, &empty) else { return 0 };
    let who = git2::Signature::new("t", "t@example.org", &git2::Time::new(0, 0)).unwrap();
    let base = repo.commit(None, &who, &who, "base", &repo.find_tree(tree).unwrap(), &[]).unwrap();
    let fits = xtask::series::fits(&repo, base, &patches).unwrap();
    fits.iter().filter(|fitted| fitted.fit.applies()).count()
}

#[test]
fn what_applies_becomes_a_commit() {
    let (corpus, mut dice) = (corpus(), Dice(2));
    let applied: usize = corpus.iter().map(|bytes| check_commit(bytes)).sum();
    assert!(applied > 20, "only {applied} patches of the corpus apply");
    for _ in 0..300 {
        check_commit(&mutated(&corpus, &mut dice));
    }
    for from in ["=?UTF-8?q?=00?= <a@b>", ". <.>", "\"\" <>", "\u{1b}"] {
        let body = "a \0 b\n---\ndiff --git a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+b\n";
        let mail = format!("From: {from}\nSubject: [PATCH] \0x\n\n{body}");
        assert_eq!(check_commit(mail.as_bytes()), 1, "{from:?}");
    }
}

/// Finds an input that fails; keeps it as a fixture.
fn hunt(seed: u64, until: impl Fn(usize) -> bool) -> usize {
    let (corpus, mut dice) = (corpus(), Dice(seed));
    let mut count = 0;
    while until(count) {
        let bytes = mutated(&corpus, &mut dice);
        let result = std::panic::catch_unwind(|| check(&bytes));
        if let Err(cause) = result {
            let name: String = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            let path = fixtures("fuzz").join(format!("{name}.mbox"));
            std::fs::write(&path, &bytes).unwrap();
            eprintln!("seed {seed}, input {count}: kept as {}", path.display());
            std::panic::resume_unwind(cause);
        }
        count += 1;
    }
    count
}

#[test]
fn what_was_found_once_stays_mended() {
    for bytes in corpus() {
        check(&bytes);
    }
}

#[test]
fn a_mutated_corpus_never_panics() {
    hunt(1, |count| count < 400);
}

#[test]
#[ignore = "takes ten minutes"]
fn fuzz_for_long() {
    let seconds = std::env::var("KVM_GUP_IO_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let started = Instant::now();
    let count = hunt(seed, |_| started.elapsed() < Duration::from_secs(seconds));
    eprintln!("{count} inputs from seed {seed}, no finding");
}

/// A mail within a mail within a mail, encoded so that no header can be counted: to
/// take it apart would take more memory than there is.
#[test]
fn mails_within_mails_are_not_taken_apart() {
    let inner = "Content-Type: message/rfc822\n\n".repeat(20_000);
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let encoded: String = inner
        .as_bytes()
        .chunks(3)
        .map(|chunk| {
            let word = chunk.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
            (0..4).map(|at| digits[(word >> (18 - 6 * at) & 63) as usize] as char).collect::<String>()
        })
        .collect();
    let heads = [
        "message/rfc822",
        "MESSAGE / rfc822",
        "\n message/global; x=y",
        "(x) message/rfc822",
        "multipart/digest; boundary=b",
    ];
    for (encoding, head) in heads.iter().flat_map(|head| [("base64", head), ("8bit", head)]) {
        let body = if encoding == "base64" { encoded.as_str() } else { inner.as_str() };
        let mail = format!(
            "From: A <a@example.org>\nSubject: [PATCH] x\nMIME-Version: 1.0\nContent-Type: {head}\n\
             Content-Transfer-Encoding: {encoding}\n\n{body}\n"
        );
        check(mail.as_bytes());
        let told = of_mail(mail.as_bytes()).unwrap_err().to_string();
        assert!(told.contains("has other mails in it"), "{head:?}: {told}");
    }
}
