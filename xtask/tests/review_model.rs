// SPDX-License-Identifier: GPL-2.0-only
//! What a review makes of what was seen: which patch carries an effect, what is not
//! built, what people said, and how all of it is told.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod source_support;

use git2::{Oid, Repository};
use source_support::commit;
use xtask::outcome::{CellOutcome, CellState, SideOutcome, WaitMs};
use xtask::patch::Patch;
use xtask::report::prefixes::Row;
use xtask::report::review as told;
use xtask::report::table::Look;
use xtask::review::effect::{Booted, Effect, Kind, Unchanged, effects};
use xtask::review::plan::{Plan, plan};
use xtask::review::submission::{Submission, of_files, of_mail};
use xtask::review::{Review, SCHEMA};
use xtask::series::fits;
use xtask::verdict::Verdict;

use CellState::{Held, Mixed, Released};

fn side(states: &[CellState]) -> SideOutcome {
    let cell = |(number, state): (usize, &CellState)| CellOutcome {
        cell: format!("anon.sync.{number}"),
        window: 1,
        probe: "writer".to_owned(),
        state: *state,
        n: 3,
        hold_ms: 100.0,
        wait_ms: WaitMs::default(),
        holder: vec!["folio_wait_bit".to_owned(), "do_swap_page".to_owned()],
        guest_progress: None,
        reason: None,
    };
    let cells = states.iter().enumerate().map(cell).collect();
    let (verdict, reasons) = (Verdict::Pass, Vec::new());
    SideOutcome {
        side: "patched".to_owned(),
        boot_ms: 1,
        controls_ok: true,
        cells,
        behaviours: Vec::new(),
        stress: None,
        storm: None,
        verdict,
        reasons,
    }
}

/// The effect on one cell that shows these states after 0, 1, 2 … patches.
fn one(states: &[CellState]) -> Option<Effect> {
    let sides: Vec<SideOutcome> = states.iter().map(|state| side(&[*state])).collect();
    let booted: Vec<Booted<'_>> = sides.iter().enumerate().map(|(patch, side)| Booted { patch, side }).collect();
    effects(&booted).0.pop()
}

#[test]
fn the_patch_that_carries_the_effect_is_named() {
    let seen = |states: &[CellState]| one(states).map(|effect| (effect.kind, effect.patch, effect.verdict()));
    assert_eq!(seen(&[Held, Held, Released]), Some((Kind::Cured, Some(2), Verdict::Pass)));
    assert_eq!(seen(&[Released, Released, Released, Held, Held]), Some((Kind::Broken, Some(3), Verdict::Fail)));
    // Cured by one patch and broken by the next: worth nothing, and the second is to blame.
    assert_eq!(seen(&[Held, Released, Held]), Some((Kind::Broken, Some(2), Verdict::Fail)));
    assert_eq!(seen(&[Released, Held, Released]), Some((Kind::Passing, Some(1), Verdict::Fail)));
    assert_eq!(seen(&[Held, Released, Held, Released]), Some((Kind::Passing, Some(2), Verdict::Fail)));
    assert_eq!(seen(&[Released, Released, Mixed]), Some((Kind::Unclear, None, Verdict::Inconclusive)));
    assert_eq!(seen(&[Mixed, Held]), Some((Kind::Unclear, None, Verdict::Inconclusive)));
    // Noise on the tree without the series is not held against one that releases.
    assert_eq!(seen(&[Mixed, Released]), Some((Kind::Unclear, None, Verdict::Pass)));
    assert_eq!(seen(&[Mixed, Released, Held]), Some((Kind::Broken, Some(2), Verdict::Fail)));
    // What disagrees on the way only blurs where it changed.
    let blurred = one(&[Held, Mixed, Released]).unwrap();
    assert_eq!(
        (blurred.kind, blurred.steps[0].patch, blurred.steps[0].or_since),
        (Kind::Cured, Some(1).map_or(0, |_| 2), Some(1))
    );
    assert_eq!(seen(&[Held, Held]), None);
    assert_eq!(seen(&[Released, Released]), None);
}

#[test]
fn what_is_the_same_is_counted_and_the_worst_comes_first() {
    let (before, after) = (side(&[Held, Held, Released, Released]), side(&[Held, Released, Released, Held]));
    let (found, unchanged) = effects(&[Booted { patch: 0, side: &before }, Booted { patch: 1, side: &after }]);
    assert_eq!(unchanged, Unchanged { held: 1, released: 1 });
    assert_eq!(found.iter().map(|effect| effect.kind).collect::<Vec<_>>(), [Kind::Broken, Kind::Cured]);
    // Without the boot of the tree itself nothing can be compared.
    assert_eq!(effects(&[Booted { patch: 1, side: &after }]).0, []);
}

fn mail(subject: &str, id: &str, more: &str, body: &str) -> String {
    format!(
        "From x Mon Sep 15 16:00:00 2025\nFrom: Ada <ada@example.org>\nDate: Mon, 15 Sep 2025 16:00:00 +0200\n\
         Subject: {subject}\nMessage-ID: <{id}@example.org>\n{more}\n{body}\n"
    )
}

fn diff(file: &str, from: &str, to: &str) -> String {
    format!(
        "Why.\n---\ndiff --git a/{file} b/{file}\n--- a/{file}\n+++ b/{file}\n@@ -1,3 +1,3 @@\n one\n-{from}\n+{to}\n three\n-- \n2.47\n"
    )
}

fn reply(subject: &str, id: &str, to: &str, from: &str, body: &str) -> String {
    let mail = mail(subject, id, &format!("In-Reply-To: <{to}@example.org>\n"), body);
    mail.replace("Ada <ada@example.org>", from)
}

/// A thread: v1, v2 whole and out of order, a v3 that was never whole, replies.
fn thread() -> String {
    let encoded =
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: quoted-printable\n";
    let quoted = diff("mm/x.c", "zwei", "=C3=BC=3D").replace("-- \n", "--=20\n");
    [
        mail("[PATCH 1/1] mm: old", "old", "", &diff("mm/x.c", "two", "alt")),
        mail("[PATCH v2 2/2] =?UTF-8?q?mm=3A_second_=C3=BC?=", "b", encoded, &quoted),
        mail("[PATCH v2 0/2] mm: both", "cover", "", "Both.\n"),
        mail("[PATCH v2 1/2] mm: first", "a", "", &diff("mm/x.c", "two", "zwei")),
        mail("[PATCH v3 1/2] mm: first", "c", "", &diff("mm/x.c", "two", "due")),
        reply("Re: [PATCH v2 1/2] mm: first", "r1", "a", "Bob <bob@example.org>", "> Why.\n\nReviewed-by: Bob <bob@example.org>\n"),
        // A reply to a reply, under a subject of its own.
        reply("Re: something else", "r2", "r1", "Eve <eve@example.org>", "Acked-by: Cid <cid@example.org>\n"),
        reply("Re: [PATCH v2 0/2] mm: both", "r3", "cover", "Dan <dan@example.org>", "Tested-by: Dan <dan@example.org>\n> Acked-by: Quoted <q@example.org>\n-- \nAcked-by: Signature <s@example.org>\n"),
        reply("Re: [PATCH 1/1] mm: old", "r4", "old", "Bob <bob@example.org>", "Nacked-by: Bob <bob@example.org>\n"),
    ]
    .concat()
}

#[test]
fn of_a_thread_the_newest_whole_revision_is_taken_and_the_rest_said() {
    let Submission { title, revision, passed_over, entries, trailers } = of_mail(thread().as_bytes()).unwrap();
    assert_eq!((title.as_str(), revision), ("[PATCH v2 0/2] mm: both", 2));
    let subjects: Vec<&str> = entries.iter().map(|entry| entry.subject.as_str()).collect();
    assert_eq!(subjects, ["mm: first", "mm: second \u{fc}"]);
    let second = entries[1].parsed.as_ref().unwrap();
    assert_eq!(String::from_utf8_lossy(&second.files[0].hunks[0].lines[2].text), "\u{fc}=\n");
    for passed in [
        "revision 1 with 1 patches",
        "revision 3 with 1 patches, incomplete without 2",
        "given to revision 1: Nacked-by: Bob <bob@example.org>",
    ] {
        assert!(passed_over.iter().any(|known| known == passed), "{passed_over:?} lacks {passed}");
    }
    let seen: Vec<(usize, &str, Option<&str>)> =
        trailers.iter().map(|trailer| (trailer.patch, trailer.line.as_str(), trailer.sent_by.as_deref())).collect();
    let expected = [
        (1, "Reviewed-by: Bob <bob@example.org>", None),
        (1, "Acked-by: Cid <cid@example.org>", Some("Eve <eve@example.org>")),
        (0, "Tested-by: Dan <dan@example.org>", None),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn one_mail_of_a_series_can_be_looked_at_alone_and_plain_diffs_have_an_order() {
    let alone = of_mail(mail("[PATCH v2 3/8] mm: third", "x", "", &diff("mm/x.c", "two", "zwei")).as_bytes()).unwrap();
    assert_eq!((alone.entries.len(), alone.revision), (1, 2));
    assert!(alone.passed_over[0].contains("its patch 3 of 8"), "{:?}", alone.passed_over);
    let plain = |from: &str, to: &str| diff("mm/x.c", from, to).split_once("---\n").unwrap().1.into();
    let folder = of_files(&[plain("two", "zwei"), plain("zwei", "due")]).unwrap();
    assert_eq!(folder.entries.len(), 2);
    assert!(folder.entries.iter().all(|entry| entry.parsed.is_ok()));
}

fn tree() -> (tempfile::TempDir, Repository, Oid) {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repository::init_bare(dir.path()).unwrap();
    let base = commit(
        &repo,
        &[("mm/x.c", "one\ntwo\nthree\n"), ("mm/Makefile", "one\ntwo\nthree\n"), ("Makefile", "m\n")],
        None,
    );
    (dir, repo, base)
}

fn planned(patches: &[(&str, String)], trust: bool) -> Plan {
    let count = patches.len();
    let mails: String = patches
        .iter()
        .enumerate()
        .map(|(at, (subject, diff))| mail(&format!("[PATCH {}/{count}] {subject}", at + 1), &at.to_string(), "", diff))
        .collect();
    let submission = of_mail(mails.as_bytes()).unwrap();
    let parsed: Vec<Patch> = submission.entries.iter().filter_map(|entry| entry.parsed.clone().ok()).collect();
    let (_dir, repo, base) = tree();
    plan(&submission.entries, &fits(&repo, base, &parsed).unwrap(), trust)
}

#[test]
fn what_is_not_built_says_why() {
    let good = ("mm: good", diff("mm/x.c", "two", "zwei"));
    let bad = ("mm: bad", diff("mm/x.c", "never", "was"));
    let is_in = ("mm: in", diff("mm/x.c", "alt", "two"));
    let rule = ("mm: rule", diff("mm/Makefile", "two", "zwei"));
    let after = ("mm: after", diff("mm/x.c", "zwei", "drei"));
    let of = |plan: &Plan| plan.steps.iter().map(|step| (step.prefix, step.not_built.clone())).collect::<Vec<_>>();

    let plan = planned(&[good.clone(), bad, after.clone()], false);
    let why = Some("patch 2 does not apply".to_owned());
    assert_eq!(of(&plan), [(Some(1), None), (None, why.clone()), (Some(2), why)]);
    assert_eq!((plan.longest, plan.nothing.clone()), (1, None));

    // What is merged already is left out, and the rest is built.
    let plan = planned(&[is_in.clone(), good.clone()], false);
    assert_eq!(of(&plan), [(None, Some("it is in the tree already".to_owned())), (Some(1), None)]);
    assert_eq!((plan.longest, plan.nothing), (1, None));
    let again = ("mm: again", diff("mm/Makefile", "alt", "two"));
    let plan = planned(&[is_in, again], false);
    assert_eq!((plan.longest, plan.nothing.as_deref()), (0, Some("all of it is in the tree already")));

    let series = [good, rule, after];
    let plan = planned(&series, false);
    let told = plan.steps[1].not_built.clone().unwrap();
    assert!(told.starts_with("patch 2 changes mm/Makefile, which a build may run on this machine"), "{told}");
    assert_eq!((plan.longest, plan.steps[2].prefix, plan.steps[2].not_built.clone()), (1, Some(3), Some(told)));
    assert_eq!(planned(&series, true).longest, 3);
}

#[test]
fn documentation_alone_needs_no_boot() {
    let text = "Why.\n---\ndiff --git a/Documentation/x.rst b/Documentation/x.rst\nnew file mode 100644\n--- /dev/null\n+++ b/Documentation/x.rst\n@@ -0,0 +1 @@\n+x\n-- \n2.47\n";
    let plan = planned(&[("doc: x", text.to_owned())], false);
    assert!(plan.nothing.unwrap().contains("documentation only"));
    let both = planned(&[("doc: x", text.to_owned()), ("mm: x", diff("mm/x.c", "two", "zwei"))], false);
    assert_eq!((both.nothing, both.longest), (None, 2));
}

fn bad_row() -> Row {
    let mut bad = Row::new(2, "mm: second <b>|`x`");
    bad.applies = "no".to_owned();
    bad.worst(
        Verdict::ApplyFailed,
        ["patch 0002: mm/x.c hunk 1 of 1 (@@ -1 +1 @@) does not apply: `\u{1b}[31m` *here*".to_owned()],
    );
    bad
}

fn review() -> Review {
    let bad = bad_row();
    let mut good = Row::new(1, "mm: first");
    good.applies = "exact".to_owned();
    good.boot = "pass".to_owned();
    let (before, after) = (side(&[Released, Held]), side(&[Held, Released]));
    let (effects, unchanged) = effects(&[Booted { patch: 0, side: &before }, Booted { patch: 1, side: &after }]);
    let trailers = of_mail(thread().as_bytes()).unwrap().trailers;
    let review = Review {
        schema: SCHEMA,
        verdict: Verdict::Pass,
        exit: 0,
        title: "[PATCH v2 0/2] mm: both".to_owned(),
        revision: 2,
        passed_over: vec!["revision 1 with 1 patches".to_owned()],
        target: "v6.1".to_owned(),
        version: "6.1.192".to_owned(),
        accel: Some("tcg".to_owned()),
        not_booted: None,
        patches: vec![good, bad],
        effects,
        unchanged,
        trailers,
        reasons: Vec::new(),
        run: Some("results/runs/x".to_owned()),
    };
    review.concluded(Verdict::Pass)
}

#[test]
fn the_worst_of_all_is_the_verdict() {
    assert_eq!((review().verdict, review().exit), (Verdict::ApplyFailed, 102));
    let only_effects =
        Review { patches: vec![Row::new(1, "x"), Row::new(2, "y")], ..review() }.concluded(Verdict::Pass);
    assert_eq!(only_effects.verdict, Verdict::Fail);
    // The patch that is to blame is red itself, and no other.
    let rows: Vec<Verdict> = only_effects.patches.iter().map(|row| row.verdict).collect();
    assert_eq!(rows, [Verdict::Fail, Verdict::Pass]);
    assert!(only_effects.patches[0].problems[0].ends_with("did not before: anon.sync.0@1"));
    let nothing = Review { patches: vec![Row::new(1, "x")], effects: Vec::new(), ..review() };
    assert_eq!(nothing.clone().concluded(Verdict::Pass).exit, 0);
    assert_eq!(nothing.concluded(Verdict::Invalid).exit, 104);
}

#[test]
fn every_form_tells_the_same_and_nothing_steers_a_terminal() {
    let mut review = review();
    let error = "mm/x.c:1: error: no\nmm/x.c:2: error: nor this\n`make -C /home/ada/linux` exits with 2:\n  CC x.o";
    review.patches[1].worst(Verdict::BuildFailed, [error.to_owned()]);
    assert!(told::table(&review, Look::PLAIN).contains("/home/ada/linux"));
    let reply = told::markdown(&review);
    assert!(reply.contains("nor this") && !reply.contains("/home") && !reply.contains("CC"), "{reply}");
    review.patches[1] = bad_row();
    let forms = [told::table(&review, Look::PLAIN), told::markdown(&review)];
    for text in &forms {
        for word in
            ["6.1.192", "mm: first", "apply-failed", "by patch 1", "Tested-by: Dan", "revision 1 with 1 patches", "Eve"]
        {
            assert!(text.contains(word) || text.contains(&word.replace('-', "\\-")), "lacks {word}:\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    assert!(forms[0].contains("RELEASED → HELD by patch 1, held in folio_wait_bit ← do_swap_page"), "{}", forms[0]);
    // A table's cell and a span of code cannot be ended from within, nor HTML be made.
    assert!(!forms[1].contains("<b>") || forms[1].contains("\\<b\\>"), "{}", forms[1]);
    insta::assert_snapshot!("review_markdown", forms[1]);
    insta::assert_snapshot!("review_table", forms[0]);
}

#[test]
fn b4_gets_what_its_documentation_says() {
    let json = told::b4(&review());
    let results = json.as_array().unwrap();
    assert!(!results.is_empty());
    for result in results {
        let status = result["status"].as_str().unwrap();
        assert!(["pass", "warn", "fail"].contains(&status), "{status}");
        assert!(!result["tool"].as_str().unwrap().is_empty() && result["summary"].is_string());
        let known = ["tool", "status", "summary", "url", "details"];
        assert!(result.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())));
    }
    let of = |tool: &str| {
        results.iter().find(|result| result["tool"] == tool).map(|result| result["status"].as_str().unwrap())
    };
    assert_eq!(
        (of("kvm-gup-io applies"), of("kvm-gup-io boot"), of("kvm-gup-io")),
        (Some("fail"), Some("pass"), Some("fail"))
    );
    assert_eq!(of("kvm-gup-io sparse"), None);
    let good = Review { patches: vec![Row::new(1, "x")], effects: Vec::new(), ..review() }.concluded(Verdict::Pass);
    let good = told::b4(&good);
    let whole = good.as_array().unwrap().last().unwrap();
    assert_eq!((&whole["status"], whole.get("details")), (&"pass".into(), None));
    assert_eq!(told::b4_error("x\ny")[0]["status"], "fail");
}
