#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# From an edit of mm/swap_state.c to the selftests' verdict: `cargo xtask test --linux`
# over `vng --build` and `vng -r`, with the same cells, in turns.
#
#   edit-over-vng.sh TREE WORK [N [VNG]]
#
# TREE is a Linux 6.1 source folder; WORK gets three git clones of it (7 GB, removed at the
# end). Takes three clean kernel builds, then N edits of each. From N = 6 on, the interval
# from the smallest ratio to the largest covers the median in 96 of 100 cases or more.
#
# virtme-ng is timed twice: with our small configuration, and with the one that it makes
# itself, to which only what the selftests need is added. That has 3 times as many objects:
# if it is not built after OWN_LIMIT seconds (720), it is left out, and that is said.
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
cleanup() { rm -rf "$work"/{ours,theirs,own}{,.out}; }
trap cleanup EXIT
cleanup
# Both as a developer has them: a clone with its index.
cp -a --reflink=auto "$tree" "$work/ours"
if [ ! -d "$work/ours/.git" ]; then
    git -C "$work/ours" init -q
    git -C "$work/ours" -c core.looseCompression=0 add -A -f
    git -C "$work/ours" -c user.name=e2e -c user.email=e2e@invalid commit -q -m 'the tree'
fi
for clone in theirs own; do git clone -q "$work/ours" "$work/$clone"; done

cells=(anon.sync.read@1 anon.sync.read@8)
ours() {
    local more=() cell
    for cell in "${cells[@]}"; do more+=(--cell "$cell"); done
    $xtask test --linux "$work/ours" "${more[@]}" --trials 5 --yes --quiet --json >"$work/ours.json" 2>"$work/ours.err" ||
        fail "ours: exit code $?; see $work/ours.err"
}
build() { (cd "$work/$1" && vng --build --skip-modules "${@:2}") >"$work/$1.log" 2>&1; }
# A held lock is an answer, too, and exit code 1 of the selftests.
guest() {
    local at=$work/$1 out=$work/$1.out
    rm -rf "$out" && mkdir "$out"
    # Into a file of the host's: what a script says on vng's own channels may be lost.
    vng -r "$at" --disable-kvm --force-9p --cpus 2 --memory 1G --user root --rwdir="$out" --qemu-opts='-cpu EPYC,+svm' \
        --exec "$program $(printf -- "--filter '%s' " "${cells[@]}") --trials 5 >$out/ktap 2>&1" \
        >>"$at.log" 2>&1 </dev/null || true
    [ "$(grep -cE '^(not )?ok [0-9]+ anon.sync.read' "$out/ktap")" = "${#cells[@]}" ] ||
        fail "no verdict; see $at.log and $out/ktap"
}
vng_test() {
    touch "$work/stamp"
    build "$1" || fail "vng --build; see $work/$1.log"
    guest "$1"
    [ "$work/$1/mm/swap_state.o" -nt "$work/stamp" ] || fail "the edit was not compiled; see $work/$1.log"
}
theirs() { vng_test theirs; }
own() { vng_test own; }
# N pairs of an edit of ours and one of whoever is named.
pairs() {
    local who=$1 name=$2 i before ratios=()
    for i in $(seq "$n"); do
        for side in ours "$who"; do
            echo "static const char kvm_gup_io_${who}_$i[] __attribute__((__unused__)) = \"$side $RANDOM $i\";" \
                >>"$work/$side/mm/swap_state.c"
            before=$(now)
            "$side"
            declare "t_$side=$(since "$before")"
        done
        local theirs_time="t_$who"
        ratios+=("$(over "${!theirs_time}" "$t_ours")")
        echo "ours $t_ours s, virtme-ng with $name ${!theirs_time} s, ${ratios[-1]} times faster"
    done
    printf '%s\n' "${ratios[@]}" | sort -n | awk -v name="$name" '{ r[NR] = $1 } END {
        m = NR % 2 ? r[(NR + 1) / 2] : (r[NR / 2] + r[NR / 2 + 1]) / 2
        printf "ok: %.2f times faster than virtme-ng with %s (median of %d, from %.2f to %.2f)\n", m, name, NR, r[1], r[NR] }'
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
pairs theirs "our configuration"

items=()
for symbol in VIRTUALIZATION KVM KVM_AMD SWAP BLK_DEV_NBD CGROUPS MEMCG USERFAULTFD; do items+=(--configitem "CONFIG_$symbol=y"); done
if (cd "$work/own" && timeout "${OWN_LIMIT:-720}" vng --build --skip-modules "${items[@]}") \
    >"$work/own.log" 2>&1; then
    guest own
    pairs own "its own configuration"
else
    echo "skip: virtme-ng's own configuration was not built after ${OWN_LIMIT:-720} s; see $work/own.log"
fi
