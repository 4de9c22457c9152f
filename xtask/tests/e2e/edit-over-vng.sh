#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# From an edit of mm/swap_state.c to the selftests' verdict: `cargo xtask test --linux`
# over `vng --build` and `vng -r`, with the same cells, in turns.
#
#   edit-over-vng.sh TREE WORK [N [VNG]]
#
# TREE is a Linux 6.1 source folder; WORK gets two git clones of it (4 GB, removed at the
# end). Takes two clean kernel builds, then N edits of each. From N = 6 on, the interval
# from the smallest ratio to the largest covers the median in 96 of 100 cases or more.
set -euo pipefail

tree=$(realpath "$1") work=$(realpath -m "$2") n=${3:-6} vng=${4:-$(command -v vng)}
cd "$(realpath "$(dirname "$0")")/../../.."
xtask=${XTASK:-cargo xtask}
export PATH=$(dirname "$vng"):$PATH GIT_CONFIG_GLOBAL=/dev/null
mkdir -p "$work"
fail() { echo "FAIL: $*"; exit 1; }
now() { date +%s.%N; }
over() { awk "BEGIN { printf \"%.2f\", $1 / $2 }"; }
since() { awk "BEGIN { printf \"%.2f\", $(now) - $1 }"; }
cleanup() { rm -rf "$work/ours" "$work/theirs"; }
trap cleanup EXIT
cleanup
# Both as a developer has them: a clone with its index.
cp -a --reflink=auto "$tree" "$work/ours"
if [ ! -d "$work/ours/.git" ]; then
    git -C "$work/ours" init -q
    git -C "$work/ours" -c core.looseCompression=0 add -A -f
    git -C "$work/ours" -c user.name=e2e -c user.email=e2e@invalid commit -q -m 'the tree'
fi
git clone -q "$work/ours" "$work/theirs"

cells=(anon.sync.read@1 anon.sync.read@8)
ours() {
    local more=() cell
    for cell in "${cells[@]}"; do more+=(--cell "$cell"); done
    $xtask test --linux "$work/ours" "${more[@]}" --trials 5 --yes --quiet --json >"$work/ours.json" 2>"$work/ours.err" ||
        fail "ours: exit code $?; see $work/ours.err"
}
# A held lock is an answer, too, and exit code 1 of the selftests.
theirs() {
    touch "$work/stamp"
    (cd "$work/theirs" && vng --build --skip-modules) >"$work/theirs.log" 2>&1 || fail "vng --build; see $work/theirs.log"
    vng -r "$work/theirs" --disable-kvm --force-9p --cpus 2 --memory 1G --user root --qemu-opts='-cpu EPYC,+svm' \
        --exec "$program $(printf -- "--filter '%s' " "${cells[@]}") --trials 5" >"$work/theirs.ktap" 2>>"$work/theirs.log" </dev/null || true
    [ "$(grep -cE '^(not )?ok [0-9]+ anon.sync.read' "$work/theirs.ktap")" = "${#cells[@]}" ] ||
        fail "no verdict; see $work/theirs.log and $work/theirs.ktap"
    [ "$work/theirs/mm/swap_state.o" -nt "$work/stamp" ] || fail "the edit was not compiled; see $work/theirs.log"
}

# The configuration of `--runner vng`, so that theirs is as small as ours.
$xtask test v6.1 --runner vng --vng "$vng" --side baseline --cell 'control.*' --trials 1 --yes --json >"$work/config.json" 2>"$work/config.err" ||
    [ "$?" = 125 ] || fail "no configuration; see $work/config.err"
run=$(grep -o '"run":"[^"]*"' "$work/config.json" | cut -d'"' -f4)
cp "$(grep -o '"config": "[^"]*"' "$run/run.json" | cut -d'"' -f4)" "$work/theirs/.config"
# What xtask itself puts into its guests.
program=$(find "${CARGO_TARGET_DIR:-target}/selftests" -path '*/guest/selftests' -type f | head -1)
[ -x "$program" ] || fail "no selftests program"
ours
theirs
echo warm
ratios=()
for i in $(seq "$n"); do
    for who in ours theirs; do
        echo "static const char kvm_gup_io_$i[] __attribute__((__unused__)) = \"$who $RANDOM $i\";" >>"$work/$who/mm/swap_state.c"
        before=$(now)
        $who
        declare "t_$who=$(since "$before")"
    done
    ratios+=("$(over "$t_theirs" "$t_ours")")
    echo "ours $t_ours s, theirs $t_theirs s, ${ratios[-1]} times faster"
done
printf '%s\n' "${ratios[@]}" | sort -n | awk '{ r[NR] = $1 } END {
    m = NR % 2 ? r[(NR + 1) / 2] : (r[NR / 2] + r[NR / 2 + 1]) / 2
    printf "ok: %.2f times faster (median of %d, from %.2f to %.2f)\n", m, NR, r[1], r[NR] }'
