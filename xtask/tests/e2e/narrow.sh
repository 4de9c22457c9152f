#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# After an edit of a C file make is led to the objects that it reaches and to no others. Is
# the kernel the very one that a whole make makes of the same tree?
#
#   narrow.sh TREE WORK
#
# TREE is a Linux source folder, 6.1 or later; WORK gets a copy of it (2 GB, removed at the
# end). Takes a clean kernel build, then two short ones a file.
set -euo pipefail

tree=$(realpath "$1") work=$(realpath -m "$2")
cd "$(realpath "$(dirname "$0")")/../../.."
xtask=${XTASK:-cargo xtask}
export GIT_CONFIG_GLOBAL=/dev/null
mkdir -p "$work"
fail() { echo "FAIL: $*"; exit 1; }
trap 'rm -rf "$work/tree"' EXIT
if [ -z "${IN_PLACE:-}" ]; then
    rm -rf "$work/tree"
    cp -a --reflink=auto "$tree" "$work/tree"
    tree=$work/tree
fi
if [ ! -d "$tree/.git" ]; then
    git -C "$tree" init -q
    git -C "$tree" -c core.looseCompression=0 add -A -f
    git -C "$tree" -c user.name=e2e -c user.email=e2e@invalid commit -q -m 'the tree'
fi

# Boots it, too: a kernel that is no kernel is no answer.
measure() {
    $xtask test --linux "$tree" --cell 'control.*' --trials 1 --yes --json --verbose >"$work/run.json" 2>"$work/run.err" ||
        [ "$?" = 125 ] || fail "$1: exit code; see $work/run.err"
    run=$(grep -o '"run":"[^"]*"' "$work/run.json" | cut -d'"' -f4)
    hash=$(grep -o '"kernel_hash": "[^"]*"' "$run/run.json" | cut -d'"' -f4)
    make=$(grep -E "^\\$ .* make .* vmlinux$" "$work/run.err" | tail -1 | sed 's/^\$ //') || make=
}

measure the-tree
i=0
for how in narrow:mm/swap_state.c narrow:virt/kvm/kvm_main.c narrow:mm/shmem.c narrow:kernel/sched/idle.c \
    narrow:fs/namei.c whole:lib/bug.c,include/linux/swap.h whole:kernel/bounds.c; do
    i=$((i + 1))
    IFS=, read -ra files <<<"${how#*:}"
    for file in "${files[@]}"; do
        # What changes the kernel; a header gets no definition.
        case $file in
        *.h) echo "#define KVM_GUP_IO_$i $RANDOM" >>"$tree/$file" ;;
        *) echo "int kvm_gup_io_$i = $RANDOM$i;" >>"$tree/$file" ;;
        esac
    done
    measure "$how"
    [ -n "$make" ] || fail "$how: no make; see $work/run.err"
    case $how:$make in
    narrow:*single-goals=* | whole:*) ;;
    *) fail "$how was not made narrowly: $make" ;;
    esac
    [[ $how == narrow:* || $make != *single-goals* ]] || fail "$how was made narrowly: $make"
    build=$(grep -oE 'O=[^ '"'"']*' <<<"$make" | head -1 | cut -d= -f2)
    # The same make without the way, which then looks everywhere.
    bash -c "$(sed -E "s/ '?single-goals=[^']*'?( vmlinux)$/\1/" <<<"$make")" >"$work/whole.log" 2>&1 || fail "whole make; see $work/whole.log"
    whole=$(sha256sum "$build/vmlinux" | cut -d' ' -f1)
    [ "$hash" = "$whole" ] || fail "$how: the kernel is $hash, a whole make's $whole"
    echo "ok: $how"
done
