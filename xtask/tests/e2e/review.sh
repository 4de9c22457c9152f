#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# `cargo xtask review` on real kernels: our own series, and series that are wrong in one way each.
#
#   review.sh WORK [TARGET…]
#
# TARGETs, whose own series has to be green, are v6.1 unless named; `v3.17=TREE` is one with a source folder. All else is
# tried on v6.1. WORK, which is empty or made, gets the mailboxes and what was said of them. PAGE names a page of a mail
# archive with the remains of patches; there is one among the fixtures.
set -euo pipefail

work=$(realpath -m "$1")
shift
targets=("${@:-v6.1}")
here=$(realpath "$(dirname "$0")")
cd "$here/../../.."
xtask=${XTASK:-}
if [ -z "$xtask" ]; then
    cargo build -q -p xtask
    xtask=${CARGO_TARGET_DIR:-$PWD/target}/debug/xtask
fi
mkdir -p "$work"
[ -z "$(ls -A "$work")" ] || { echo "FAIL: there is something in $work"; exit 1; }
page=${PAGE:-xtask/tests/fixtures/hostile/32-archive-page.txt}
own=(patches/v6.1/series/*.patch)

fail() { echo "FAIL: $*"; exit 1; }

# A series of patch files as a mailbox, numbered anew: mbox PREFIX PATCH…
mbox() {
    local prefix=$1 number=0 count=$(($# - 1)) patch
    shift
    for patch; do
        number=$((number + 1))
        echo "From somebody Mon Sep 17 00:00:00 2001"
        echo "Message-ID: <${prefix// /-}-$number@example.org>"
        sed -e '/^From [0-9a-f]\{40\} /d' -e "0,/^Subject: /s/^Subject: \(\[PATCH[^]]*\] \)\?/Subject: [$prefix $number\/$count] /" "$patch"
        echo
    done
}

# One of its messages with another encoding of its body: encoded MBOX NUMBER base64|quoted-printable
encoded() {
    perl -MMIME::Base64 -MMIME::QuotedPrint -e '
        my ($file, $number, $how) = @ARGV;
        open my $in, "<", $file or die; local $/; my @mails = split /^(?=From somebody )/m, <$in>;
        my ($head, $body) = split /\n\n/, $mails[$number - 1], 2;
        $body = $how eq "base64" ? encode_base64($body) : encode_qp($body);
        $head =~ s/^(MIME-Version|Content-[\w-]+):.*\n//mgi;
        print "$head\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: $how\n\n$body\n";
    ' "$@"
}

# A reply: reply WHO TO-ID TEXT
reply() {
    printf 'From somebody Mon Sep 17 00:00:00 2001\nFrom: %s\nSubject: Re: [PATCH v2 0/2] KVM\nIn-Reply-To: <%s>\n' "$1" "$2"
    printf 'Message-ID: <%s-%s@example.org>\n\n%s\n\n' "$RANDOM" "$RANDOM" "$3"
}

# Runs a review and looks at how it ends: try NAME EXIT ARGUMENT…
try() {
    local name=$1 wanted=$2 status=0 started=$SECONDS
    shift 2
    # Globs are for the tool, not for the shell.
    (set -f; "$xtask" review "$@" >"$work/$name.out" 2>"$work/$name.err") || status=$?
    out=$work/$name.out
    [ "$status" = "$wanted" ] || fail "$name ends with $status and not $wanted; see $work/$name.*"
    echo "$name: exit $status in $((SECONDS - started)) s"
}
says() { for word; do grep -qF -- "$word" "$out" || fail "$out lacks: $word"; done; }
# The row of a patch in the table ends with its verdict and the seconds.
row() { grep -qE "^ *$1 .* $2 +[0-9]+$" "$out" || fail "in $out patch $1 is not $2"; }

for target in "${targets[@]}"; do
    linux=()
    case $target in *=*) linux=(--linux "${target#*=}") ;; esac
    target=${target%%=*}
    "$xtask" series export "$target" --mbox --output "$work/$target.mbox" --with-cover >"$work/$target.log"
    try "green-$target" 0 "$work/$target.mbox" --on "$target" "${linux[@]}"
    says 'held → released by patch'
    ! grep -q 'RELEASED → HELD' "$out" || fail "$out has a cell that is held"
done

cells=(--cell 'anon.sync.*' --trials 3)

# The lock is held over IO by patch 3, which undoes the second: the rest of the series is not to blame.
mbox 'PATCH v2' "${own[0]}" "${own[1]}" "$here"/review/{red-3,comment,red-5}.patch >"$work/red.mbox"
try red 100 "$work/red.mbox" --on v6.1 "${cells[@]}" --markdown "$work/red.md"
says 'RELEASED → HELD by patch 3' 'held in folio_wait_bit_common ← do_swap_page'
row 1 pass; row 2 pass; row 3 fail; row 4 pass
grep -q 'RELEASED → HELD by patch 3' "$work/red.md" || fail "$work/red.md does not name patch 3"

# Only the second does not compile; the third mends it, and is booted.
mbox PATCH "$here"/review/{comment,break-2,break-3}.patch >"$work/break.mbox"
try break 101 "$work/break.mbox" --on v6.1 --cell anon.sync.read --trials 3 --markdown "$work/break.md"
says "'no_such_thing' undeclared"
row 1 pass; row 2 build-failed; row 3 pass
! grep -q "$PWD\|make -C" "$work/break.md" || fail "$work/break.md names what is on this machine"

mbox PATCH "$here"/review/{comment,splat-2}.patch >"$work/splat.mbox"
try splat 103 "$work/splat.mbox" --on v6.1 --cell 'anon.sync.*' --trials 3
says 'WARNING: CPU' 'cells are told of as far as patch 1'
row 1 pass; row 2 crashed

mbox PATCH "$here"/review/merged.patch >"$work/merged.mbox"
try merged 102 "$work/merged.mbox" --on v6.1
says 'already in' 'not booted: all of it is in the tree already'

mbox PATCH "$here"/review/doc.patch >"$work/doc.mbox"
try doc 0 "$work/doc.mbox" --on v6.1
says 'not booted: it changes documentation only'

# Two revisions, the parts of the newer out of order and encoded, and replies.
mbox PATCH "$here"/review/{comment,red-5}.patch >"$work/v1.part"
mbox 'PATCH v2' "${own[0]}" "${own[1]}" >"$work/v2.part"
{
    reply 'Ada <ada@example.org>' PATCH-v2-2@example.org $'> it was\n> Reviewed-by: Quoted <quoted@example.org>\n\nTested-by: Ada <ada@example.org>'
    encoded "$work/v2.part" 2 base64
    cat "$work/v1.part"
    reply 'Eve <eve@example.org>' PATCH-v2-1@example.org 'Acked-by: Linus <linus@example.org>'
    encoded "$work/v2.part" 1 quoted-printable
} >"$work/thread.mbox"
try thread 0 "$work/thread.mbox" --on v6.1 --cell anon.sync.read --trials 3
says '(revision 2, 2 patches)' 'passed over: revision 1 with 2 patches' 'held → released by patch 2' \
    'nothing was added, and nobody' 'patch 2: Tested-by: Ada' 'patch 1: Acked-by: Linus <linus@example.org> (sent by Eve <eve@example.org>)'
! grep -q 'Reviewed-by: Quoted' "$out" || fail "$out takes a quotation for a word"
! grep -rqE '^(Tested-by: Ada|Acked-by: Linus)' results/reviews/*/patches || fail 'a trailer was added'

# As b4 asks: a mail on standard input, an array on standard output.
try b4 0 --b4 --quiet --no-boot --on v6.1 - <"$here/review/doc.patch"
perl -MJSON::PP -e '
    local $/; my $all = decode_json(<STDIN>); @$all or die "nothing in it\n";
    for my $one (@$all) {
        $one->{status} =~ /^(pass|warn|fail)$/ && length $one->{tool} or die "not of that shape\n";
        /^(tool|status|summary|url|details)$/ or die "b4 does not know $_\n" for keys %$one;
    }' <"$out" || fail "$out is not what b4 takes"

try page 102 "$page" --on v6.1
out=$work/page.err
says 'has no mail headers' 'hunk 1' 'hunk 2' 'the line above is wrapped' 'an archive has eaten it'

# With the programs of a real tree: nothing comes of any of them but words.
for mail in xtask/tests/fixtures/hostile/* "$here"/review/shell.mbox; do
    status=0
    timeout 60 "$xtask" review "$mail" --on v6.1 --no-build >"$work/hostile.log" 2>&1 || status=$?
    case $status in 2 | 102 | 125) ;; *) fail "$mail ends with $status; see $work/hostile.log" ;; esac
done
[ ! -e /tmp/review-e2e-pwned ] || fail 'a mail has run a command'
echo "ok: ${targets[*]} are green, and what is wrong is said, in $SECONDS s"
