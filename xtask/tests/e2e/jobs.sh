#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# `matrix --plan`, `matrix --job` and `results merge` on real kernels, as a CI engine has them: each
# job a process of its own in a checkout of its own with a cache of its own; their records made one,
# twice; and the table compared with that of one machine.
#
#   jobs.sh WORK [TARGET…]
#
# TARGETs are v6.1 and v7.3 unless named. WORK, which is empty or made, gets a checkout and a cache for each job, and for the one
# machine: two cold builds a target, twice. SEED names a cache to begin with a copy of; ARGS are further
# arguments of each matrix: by default few cells and trials, and a hold that jobs side by side do not disturb.
set -euo pipefail

work=$(realpath -m "$1")
shift
targets=("${@:-v6.1}")
[ $# -gt 0 ] || targets=(v6.1 v7.3)
read -ra args <<<"${ARGS:---cell anon.sync.* --trials 3 --hold 400}"
here=$(realpath "$(dirname "$0")/../../..")
xtask=${XTASK:-}
if [ -z "$xtask" ]; then
    (cd "$here" && cargo build -q -p xtask)
    xtask=${CARGO_TARGET_DIR:-$here/target}/debug/xtask
fi
mkdir -p "$work"
[ -z "$(ls -A "$work")" ] || { echo "FAIL: there is something in $work"; exit 1; }

fail() { echo "FAIL: $*"; exit 1; }

# A checkout, and a cache that is empty.
checkout() {
    git clone -q "$here" "$work/$1"
    mkdir "$work/$1.cache"
}

# One that is to measure.
machine() {
    checkout "$1"
    if [ -n "${SEED:-}" ]; then cp -a "$SEED/." "$work/$1.cache"; fi
}

# A command of the machine's. Globs are for the tool, not for the shell.
on() {
    local name=$1
    shift
    (set -f; cd "$work/$name" && CARGO_MANIFEST_DIR="$work/$name/xtask" KVM_GUP_IO_CACHE="$work/$name.cache" "$xtask" "$@")
}

newest() { find "$work/$1/results/runs" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort | tail -n 1; }
runs() { find "$work/$1/results/runs" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort; }

# The table, without what differs from boot to boot: the name of the run, and times.
table() { on "$1" results show "$2" | sed -e '1d' -e '/longest wait/d' -e 's/ *$//'; }

set -f
checkout plan
jobs=$(on plan matrix --plan "${targets[@]}" | grep -o '"id":"[^"]*-measure"' | cut -d'"' -f4)
[ "$(wc -w <<<"$jobs")" = "${#targets[@]}" ] || fail "the plan has other jobs: $jobs"

pids=()
# What one of them fails of, or Ctrl-C, leaves none of the others behind.
trap 'for pid in "${pids[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done; wait' EXIT
# Each has a process group of its own.
set -m
for job in $jobs; do
    machine "$job"
    on "$job" matrix --job "$job" --yes "${args[@]}" >"$work/$job.out" 2>"$work/$job.err" &
    pids+=($!)
done
set +m
for pid in "${pids[@]}"; do wait "$pid" || fail "a job ended with $?; see $work/*.err"; done

checkout merged
stores=()
for job in $jobs; do stores+=("$work/$job/results"); done
on merged results merge "${stores[@]}" >"$work/merge-1.out" 2>"$work/merge-1.err" || fail "merging ended with $?; see $work/merge-1.err"
before=$(runs merged)
on merged results merge "${stores[@]}" >"$work/merge-2.out" 2>"$work/merge-2.err" || fail "merging again ended with $?"
[ "$before" = "$(runs merged)" ] || fail "merging twice is not merging once"
cmp "$work/merge-1.out" "$work/merge-2.out" || fail "merging twice shows something else"
folded=$(newest merged)
[ "$(runs merged | wc -l)" = $((${#targets[@]} + 1)) ] || fail "there are other runs than the jobs' and the folded one"

machine single
on single matrix --yes "${targets[@]}" "${args[@]}" >"$work/single.out" 2>"$work/single.err" || fail "the matrix ended with $?; see $work/single.err"
single=$work/single/results/runs/$(newest single)

diff <(table single "$single") <(table merged "$folded") || fail "the tables differ"
for ends in "$single $folded" "$folded $single"; do
    read -r one other <<<"$ends"
    on merged results diff "$one" "$other" --json >"$work/diff.json" || fail "the results differ; see $work/diff.json"
    if grep -oE '"change":"(new|missing|flaky|fixed)"' "$work/diff.json"; then fail "the results differ; see $work/diff.json"; fi
done
table merged "$folded"
echo "ok: ${jobs//$'\n'/, } merged as $folded, the table of one machine"
