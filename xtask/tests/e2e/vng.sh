#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# `test --runner vng` gives the verdicts of `test`, and `shell` is a shell: a command is
# typed, its answer read. With vng absent, too old or failing that is said. Whatever ends a
# shell, nothing of it is left.
#
#   vng.sh WORK [VNG]
#
# Needs virtme-ng and tmux. Takes two kernel builds, two incremental ones, six boots.
set -euo pipefail

work=$(realpath -m "$1") vng=${2:-$(command -v vng)}
cd "$(realpath "$(dirname "$0")")/../../.."
xtask=${XTASK:-cargo xtask}
mkdir -p "$work"
fail() { echo "FAIL: $*"; exit 1; }
guests() { pgrep -f 'qemu-system-x86_64.*virtme' | sort || true; }
before=$(guests)

states() { grep -o '"cell":"[^"]*","window":[0-9]*,"probe":"[^"]*","state":"[^"]*"' "$1"; }
for runner in own vng; do
    more=(--runner "$runner")
    if [ "$runner" = vng ]; then more+=(--vng "$vng"); fi
    status=0
    $xtask test v6.1 --cell 'anon.*' --trials 5 --hold 400 --yes --json "${more[@]}" >"$work/$runner.json" 2>"$work/$runner.err" || status=$?
    [ "$status" = 0 ] || fail "--runner $runner: exit code $status; see $work/$runner.err"
    states "$work/$runner.json" >"$work/$runner.states"
    echo "ok: --runner $runner: $(wc -l <"$work/$runner.states") states"
done
[ "$(wc -l <"$work/own.states")" -gt 10 ] || fail "too few states"
diff "$work/own.states" "$work/vng.states" || fail "the verdicts differ"

fake() { printf '#!/bin/sh\n%s\n' "$1" >"$work/vng"; chmod 755 "$work/vng"; }
said() {
    status=0
    $xtask test v6.1 --cell 'anon.sync.read@1' --trials 1 --yes --runner vng --vng "$work/vng" >"$work/out" 2>&1 || status=$?
    [ "$status" = 110 ] || fail "exit code $status where 110 was due: $1"
    grep -q "$1" "$work/out" || fail "not said: $1; see $work/out"
    echo "ok: said: $1"
}
rm -f "$work/vng"; said 'pipx install virtme-ng'
fake 'echo virtme-ng 1.9'; said 'the oldest that has been proved is'
fake '[ "$1" = --version ] && echo virtme-ng 1.42 && exit; sleep 777 & echo no such device >&2; exit 1'
said 'no such device'
pgrep -f 'sleep 777' && fail "an orphan is left"

. xtask/tests/e2e/terminal.sh
# In a shell of the host's, which goes on behind it.
open() {
    terminal 'PS1="host " bash --norc'
    type_in "$xtask shell v6.1 --vng $vng; echo SHELL ENDED \$?"
    await '`exit` ends it'
    await '^(root@|.*[#$] *$)'
}
open
# The echo of what is typed does not have the sum.
type_in 'echo answer=$((6 * 7)) on $(uname -r) kvm=$(test -c /dev/kvm && echo yes)'
await 'answer=42 on 6\.1\.[0-9]+ kvm=yes'
screen | grep 'answer=42'
type_in 'echo gone >/usr/kvm-gup-io-e2e && cat /usr/kvm-gup-io-e2e'
await '^gone'
[ ! -e /usr/kvm-gup-io-e2e ] || fail "the guest wrote on the host"
type_in 'exit'
await 'SHELL ENDED 0'
[ "$before" = "$(guests)" ] || fail "a guest is left"

open
[ "$before" != "$(guests)" ] || fail "there is no guest to be left"
kill -TERM "$(pgrep -f "^[^ ]*xtask[^ ]* shell v6\.1 --vng $vng")"
await 'SHELL ENDED 130'
[ "$before" = "$(guests)" ] || fail "a guest is left after SIGTERM"
# A terminal that shows what is typed, as before.
type_in 'echo host=$((6 * 8))'
await '^host echo host='
await '^host=48'
echo ok
