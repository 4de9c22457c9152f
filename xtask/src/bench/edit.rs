// SPDX-License-Identifier: GPL-2.0-only
//! A developer's edit of one file, as a commit that nothing has been built of.
//!
//! Owns: what the edit is. It must be compiled, so a comment will not do: ccache
//! would see through it. It must change no code, so that the measurement stays the
//! same: an unused constant is dropped by the compiler. It stands at the file's
//! end, where it moves no line and no hunk of a series.

use anyhow::{Context, bail};
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Repository, Signature};

/// The file: every kernel since 2.6 has it, and every configuration of ours builds it.
pub const FILE: &str = "mm/swap_state.c";

/// The step of kbuild that says that the file was compiled.
pub const OBJECT: &str = "mm/swap_state.o";

/// Commits the edit on top of `base` and returns the commit. The same `mark`, a
/// word of letters and digits, gives the same commit; another one another file.
///
/// # Errors
/// The tree has no such file, or the repository cannot be written.
pub fn commit(repo: &Repository, base: Oid, mark: &str) -> anyhow::Result<Oid> {
    if mark.is_empty() || !mark.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        bail!("{mark:?} cannot be written into a C string");
    }
    let failed = || format!("cannot edit {FILE} of {base} in {}", repo.path().display());
    let parent = repo.find_commit(base).with_context(failed)?;
    let tree = parent.tree().with_context(failed)?;
    let entry = tree.get_path(FILE.as_ref()).with_context(failed)?;
    let mut text = repo.find_blob(entry.id()).with_context(failed)?.content().to_vec();
    // The attribute as it is: kernels have spelt their macro for it differently.
    let line = format!("\nstatic const char kvm_gup_io_bench[] __attribute__((__unused__)) = \"{mark}\";\n");
    text.extend(line.as_bytes());
    let mut update = TreeUpdateBuilder::new();
    update.upsert(FILE, repo.blob(&text).with_context(failed)?, FileMode::Blob);
    let edited = update.create_updated(repo, &tree).with_context(failed)?;
    let edited = repo.find_tree(edited).with_context(failed)?;
    let who = Signature::new("kvm-gup-io", "kvm-gup-io@invalid", &parent.time()).with_context(failed)?;
    repo.commit(None, &who, &who, "bench: edit one file\n", &edited, &[&parent]).with_context(failed)
}

/// Does this build log say that the edit was compiled?
#[must_use]
pub fn was_compiled(log: &str) -> bool {
    let is_step = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("CC") && words.next() == Some(OBJECT)
    };
    log.lines().any(is_step)
}
