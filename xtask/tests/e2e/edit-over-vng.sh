#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# From an edit of mm/swap_state.c to the selftests' verdict: `cargo xtask test --linux`
# over `vng --build` and `vng -r`, with the same cells, in turns.
#
#   edit-over-vng.sh TREE WORK [N [VNG]]
#
# TREE is a Linux 6.1 source folder; WORK gets two copies of it (2 GB, removed at the end).
# Takes two clean kernel builds, then N edits of each.
set -euo pipefail

tree=$(realpath "$1") work=$(realpath -m "$2") n=${3:-5} vng=${4:-$(command -v vng)}
root=$(realpath "$(dirname "$0")")/../../..
cd "$root"
xtask=${XTASK:-cargo xtask}
export PATH=$(dirname "$vng"):$PATH
mkdir -p "$work"
fail() { echo "FAIL: $*"; exit 1; }
trap 'rm -rf "$work/ours" "$work/theirs"' EXIT
for copy in ours theirs; do
    rm -rf "${work:?}/$copy"; mkdir "$work/$copy"
    tar -C "$tree" -c --exclude=./Documentation/* --exclude=./drivers/gpu/drm/amd/include/asic_reg . | tar -C "$work/$copy" -x
done
cells=(anon.sync.read@1 anon.sync.read@8)
ours() {
    more=(); for cell in "${cells[@]}"; do more+=(--cell "$cell"); done
    $xtask test --linux "$work/ours" "${more[@]}" --trials 5 --yes --quiet --json >"$work/ours.json" 2>"$work/ours.err" || fail "ours: exit code $?; see $work/ours.err"
}
theirs() {
    (cd "$work/theirs" && vng --build --skip-modules) >"$work/theirs.log" 2>&1 || fail "vng --build; see $work/theirs.log"
    vng -r "$work/theirs" --disable-kvm --force-9p --cpus 2 --memory 1G --user root --qemu-opts='-cpu EPYC,+svm' \
        --exec "$program --filter ${cells[*]} --trials 5" >"$work/theirs.ktap" 2>>"$work/theirs.log" </dev/null || fail "vng -r; see $work/theirs.log"
    grep -q '^ok .*anon.sync.read' "$work/theirs.ktap" || grep -q 'held\|released' "$work/theirs.ktap" || fail "no result; see $work/theirs.ktap"
}
program=$(ls "${CARGO_TARGET_DIR:-target}"/selftests/*/guest/selftests | head -1)
# The configuration of `--runner vng`, so that both compile the same.
$xtask test v6.1 --runner vng --vng "$vng" --side baseline --cell 'control.*' --trials 1 --yes --json >"$work/config.json" 2>"$work/config.err" || true
run=$(grep -o '"run":"[^"]*"' "$work/config.json" | cut -d'"' -f4)
cp "$(grep -o '"config": "[^"]*"' "$run/run.json" | cut -d'"' -f4)" "$work/theirs/.config"
ours; theirs
for i in $(seq "$n"); do
    for who in ours theirs; do
        echo "static const char kvm_gup_io_$i[] __attribute__((__unused__)) = \"$who $RANDOM $i\";" >>"$work/$who/mm/swap_state.c"
        before=$(date +%s.%N)
        $who
        declare "t_$who=$(echo "$(date +%s.%N) - $before" | bc)"
    done
    echo "ours $t_ours s, theirs $t_theirs s, $(echo "scale=2; $t_theirs / $t_ours" | bc) times faster"
done
echo ok
