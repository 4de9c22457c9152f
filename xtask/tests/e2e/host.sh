#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The selftests alone, as root on a host (here: a guest on a copy-on-write view of this
# one): they run, and leave swap, network block devices, cgroups, mounts, tracing and
# settings as they were; after kill -9 the next run cleans up; kunit.py takes their KTAP.
#
#   host.sh WORK [VNG]
#
# Needs virtme-ng, tmux and python3. Takes one kernel build and one boot.
set -euo pipefail

fail() { echo "FAIL: $*"; exit 1; }

# What a run might leave, a line each.
state() {
    cat /proc/swaps /proc/mounts /proc/sys/vm/page-cluster
    for nbd in /sys/block/nbd*; do
        echo "$nbd $(cat "$nbd/size" "$nbd/queue/read_ahead_kb") $(cat "$nbd/pid" 2>/dev/null || echo free)"
    done
    find /sys/fs/cgroup -mindepth 1 -type d 2>/dev/null | sort
    # Not below debugfs, which mounts another where one looks.
    find /sys/kernel/tracing/instances -mindepth 1 -maxdepth 1 2>/dev/null || true
    ls /run/kvm-gup-io* 2>/dev/null || true
    pgrep -a selftests || true
}

# In the guest: where the selftests are, kunit.py, a folder to write to.
inside() {
    selftests=$1 kunit=$2 work=$3
    mkdir -p "$work"
    cd "$work"
    state >before
    # A held cell makes a run `not ok`: which it is depends on the kernel.
    "$selftests" --filter 'anon.sync.*' 'shmem.apf-*' --trials 2 --repeat 2 --seed 7 >ktap || true
    cat ktap
    state >after
    diff before after || fail "a run changed its machine"
    echo "ok: left as it was"
    python3 "$kunit" parse "$work/ktap" >parsed || fail "kunit.py: $(cat parsed)"
    grep -q 'Ran 14 tests: passed: 14' parsed || fail "kunit.py counts otherwise: $(tail -3 parsed)"
    echo "ok: kunit.py"
    "$selftests" --filter 'anon.sync.*' --trials 100 --hold 500 >killed &
    until grep -q nbd /proc/swaps; do
        kill -0 $! || fail "it ended by itself: $(cat killed)"
        sleep 0.2
    done
    kill -9 $!
    wait $! 2>/dev/null || true
    state >dead
    diff before dead >left && fail "nothing was left: it was killed too late to show anything"
    "$selftests" --filter 'anon.sync.read@1' --trials 1 >again || fail "not after a killed run: $(cat again)"
    state >cleaned
    diff before cleaned || fail "the next run did not clean up"
    echo "ok: cleaned up after kill -9 of a run that had left $(grep -c '^[<>]' left) things"
    setpriv --reuid 65534 --clear-groups "$selftests" --filter 'anon.sync.read@1' --trials 1 >unprivileged || fail "without root: $?"
    grep -q '^ok 3 anon.sync.read@1 # SKIP' unprivileged || fail "without root: $(cat unprivileged)"
    echo "ok: without root all is skipped: $(grep -m1 -o '# SKIP.*' unprivileged)"
    echo "INSIDE ENDED WELL"
}

if [ "$1" = --inside ]; then
    shift
    inside "$@" || echo "INSIDE FAILED"
    exit
fi

work=$(realpath -m "$1") vng=${2:-$(command -v vng)} script=$(realpath "$0")
cd "$(dirname "$script")/../../.."
xtask=${XTASK:-cargo xtask}
mkdir -p "$work"
cache=${KVM_GUP_IO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kvm-gup-io}
kunit=$(find "$cache/work" /usr/src -path '*/tools/testing/kunit/kunit.py' 2>/dev/null | tail -n 1)
[ -n "$kunit" ] || fail "no kernel tree with kunit.py is in $cache or /usr/src"

. xtask/tests/e2e/terminal.sh
terminal "$xtask shell v6.1 --side patched --vng $vng; echo SHELL ENDED \$?; sleep 60"
await '^selftests: .* --filter '
selftests=$(screen | sed -n "s/^selftests: \(.*\) --filter.*/\1/p" | head -n 1)
await '^(root@|.*[#$] *$)'
type_in "bash $script --inside $selftests $kunit /run/host-e2e"
await '^INSIDE (ENDED WELL|FAILED)|^FAIL: '
screen | sed '/^ *$/d' >"$work/screen"
type_in 'exit'
await 'SHELL ENDED 0'
grep '^ok: ' "$work/screen" || true
grep -q '^INSIDE ENDED WELL' "$work/screen" || fail "see $work/screen: $(tail -n 5 "$work/screen")"
echo ok
