#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# `cargo xtask bisect` on real kernels: makes a history, searches it unattended, compares.
#
#   bisect.sh TREE WORK [SEED [break|fix]]
#
# TREE is a Linux 6.1 source folder; WORK gets the clone (2 GB) and what was found. Takes one
# kernel build, an incremental build and a boot a step, and one more clean build.
set -euo pipefail

tree=$1 work=$2 seed=${3:-$RANDOM} find=${4:-break}
here=$(realpath "$(dirname "$0")")
clone=$work/history-$seed-$find
mkdir -p "$work"
"$here/bisect-history.sh" "$tree" "$clone" "$seed" "$find"
state() { (cd "$clone" && git for-each-ref && git status --porcelain && cat .git/HEAD && sha256sum .git/index && ls .git); }
before=$(state)

ends=(--good first --bad topic)
if [ "$find" = fix ]; then ends=(--bad first --good topic --find fix); fi
cd "$here/../../.."
status=0
SECONDS=0
${XTASK:-cargo xtask} bisect --linux "$clone" "${ends[@]}" --cell 'anon.*' --yes --json >"$clone.json" || status=$?
found=$(sed -n 's/.*"culprit":{"item":[0-9]*,"id":"\([0-9a-f]*\)".*/\1/p' "$clone.json")
wanted=$(cat "$clone.culprit")
[ "$status" = 0 ] || { echo "FAIL: exit code $status; see $clone.json"; exit 1; }
[ "$found" = "$wanted" ] || { echo "FAIL: found $found, but it is $wanted"; exit 1; }
[ "$before" = "$(state)" ] || { echo "FAIL: the clone has changed"; exit 1; }
echo "ok: seed $seed, $find: $found in ${SECONDS} s"
