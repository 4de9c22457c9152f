#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# `cargo xtask debug`: a breakpoint in do_swap_page is hit by a guest's fault, and the
# kernel's own gdb commands work.
#
#   debug.sh WORK
#
# Needs gdb. Takes one kernel build with debug information, and a boot.
set -euo pipefail

work=$(realpath -m "$1")
cd "$(realpath "$(dirname "$0")")/../../.."
mkdir -p "$work"
fail() { echo "FAIL: $*"; exit 1; }
out=$work/debug.out
: >"$out"
${XTASK:-cargo xtask} debug v6.1 --yes >"$out" 2>"$work/debug.err" &
pid=$!
trap 'kill -INT $pid 2>/dev/null || true' EXIT
for _ in $(seq 3600); do
    grep -q 'Ctrl-C ends the guest' "$out" && break
    kill -0 "$pid" 2>/dev/null || fail "debug ended: $(tail -3 "$work/debug.err")"
    sleep 0.5
done
cat >"$work/gdb.py" <<'PY'
import gdb
gdb.execute("set pagination off")
gdb.execute("hbreak do_swap_page")
for hit in range(400):
    gdb.execute("continue", to_string=True)
    trace = gdb.execute("backtrace", to_string=True)
    if "hva_to_pfn" in trace:
        print("HIT %d" % hit)
        print(trace)
        break
gdb.execute("lx-version")
gdb.execute("kill")
PY
command=$(grep -m1 '^  gdb ' "$out")
eval "timeout 600 $command -batch -x $work/gdb.py" >"$work/gdb.out" 2>&1 </dev/null || true
grep -q '^HIT' "$work/gdb.out" || fail "no guest fault hit do_swap_page; see $work/gdb.out"
grep -E '^#.*(do_swap_page|hva_to_pfn|kvm_mmu_page_fault) |^Linux version' "$work/gdb.out"
grep -q 'Linux version 6\.1' "$work/gdb.out" || fail "lx-version said nothing"
status=0
wait "$pid" || status=$?
[ "$status" = 0 ] || fail "exit code $status; $(tail -3 "$work/debug.err")"
echo ok
