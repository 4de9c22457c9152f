#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# `cargo xtask watch` on a real kernel: an edit that brings the wait back is said, a
# syntax error is survived, Ctrl-C leaves nothing.
#
#   watch.sh TREE WORK
#
# TREE is a Linux 6.1 source folder; WORK gets a copy of it (1 GB, removed at the end).
# Takes one kernel build, four incremental ones, and a boot for each that links.
set -euo pipefail

tree=$(realpath "$1") work=$(realpath -m "$2")
here=$(realpath "$(dirname "$0")")
root=$here/../../..
copy=$work/linux out=$work/watch.out err=$work/watch.err
mkdir -p "$work"
rm -rf "$copy"
# Neither is compiled, and they are a third of the tree.
mkdir "$copy"
tar -C "$tree" -c --exclude=./Documentation/* --exclude=./drivers/gpu/drm/amd/include/asic_reg . | tar -C "$copy" -x
mkdir -p "$copy/Documentation"; cp "$tree/Documentation/Kconfig" "$copy/Documentation/" 2>/dev/null || true
cat "$root"/patches/v6.1/series/*.patch | patch -d "$copy" -p1 -s

cd "$root"
${XTASK:-cargo xtask} watch --linux "$copy" --cell 'anon.sync.*' --trials 5 --yes >"$out" 2>"$err" &
pid=$!
fail() { echo "FAIL: $*"; cat "$out"; tail -5 "$err"; kill -INT "$pid" 2>/dev/null || true; exit 1; }
# Waits for line $1, which must match $2.
line() {
    for _ in $(seq 3000); do
        if [ "$(wc -l <"$out")" -ge "$1" ]; then
            sed -n "$1p" "$out" | grep -qE "$2" || fail "line $1 is not /$2/"
            sed -n "$1p" "$out"
            return
        fi
        kill -0 "$pid" 2>/dev/null || fail "watch ended"
        sleep 0.3
    done
    fail "line $1 never came"
}
file=$copy/mm/swap_state.c
cp "$file" "$work/good.c"
line 1 'as it is: pass: 0 of [0-9]+ cells make others wait'
sed -i 's/swap_readpage(retpage, false, plug);/swap_readpage(retpage, true, plug);/' "$file"
line 2 'mm/swap_state.c: pass: .*NOW HELD: anon.sync.read@1, anon.sync.write@1'
echo 'int broken(' >>"$file"
line 3 'mm/swap_state.c: build-failed: mm/swap_state.c:[0-9]+:[0-9]+: error: '
cp "$work/good.c" "$file"
line 4 'mm/swap_state.c: pass: 0 of .*now released: anon.sync.read@1'
kill -INT "$pid"
status=0
wait "$pid" || status=$?
[ "$status" = 130 ] || fail "exit code $status after Ctrl-C"
left=$(pgrep -f "$work/|$copy" || true)
[ -z "$left" ] || fail "processes are left: $left"
rm -rf "$copy"
echo "ok: $(wc -l <"$out") lines"
