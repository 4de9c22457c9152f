#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Makes a history of small commits on a kernel tree, for `cargo xtask bisect` to search.
#
#   bisect-history.sh TREE OUT SEED [break|fix]
#
# TREE is a Linux 6.1 source folder, which is only read; OUT becomes a git clone with the
# branch `topic`, whose first commit is tagged `first`. The first commit has the series
# patches/v6.1 applied, so that nobody waits; somewhere behind it the wait of a swap read
# under the lock comes back. With `fix` it is the other way round. Where is drawn from
# SEED and written into OUT.culprit, beside the clone. On the way are a commit that does
# not build, one that panics at boot of something else, files that no kernel of ours
# compiles, and a merge.
set -euo pipefail

tree=$(realpath "$1") out=$2 seed=$3 find=${4:-break}
checkout=$(realpath "$(dirname "$0")/../../..")
swap=$(ls "$checkout"/patches/v6.1/series/0002-*.patch)
export GIT_AUTHOR_NAME=e2e GIT_AUTHOR_EMAIL=e2e@invalid GIT_COMMITTER_NAME=e2e GIT_COMMITTER_EMAIL=e2e@invalid
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
clock=1700000000

commit() { # SUBJECT: all that is changed
    clock=$((clock + 60))
    git add -A -f # whatever the tree ignores
    GIT_AUTHOR_DATE="$clock +0000" GIT_COMMITTER_DATE="$clock +0000" git commit -q -m "$1"
}
note() { # FILE NUMBER: a line on the console, honest code
    printf '\nstatic int __init e2e_note_%s(void)\n{\n\tpr_info("note %s\\n");\n\treturn 0;\n}\nlate_initcall(e2e_note_%s);\n' \
        "$2" "$2" "$2" >>"$1"
}
comment() { printf '\n/* note %s */\n' "$2" >>"$1"; }

declare -A what
what[n1]='note mm/msync.c 1'               what[n2]='comment Documentation/mm/swap.rst 2'
what[n3]='note kernel/ucount.c 3'          what[n4]='comment mm/page_io.c 4'
what[n5]='note fs/pipe.c 5'                what[n6]='comment drivers/net/dummy.c 6'
what[n7]='note mm/mincore.c 7'             what[n8]='note lib/bitmap.c 8'
what[n9]='comment include/linux/swap.h 9'  what[n10]='note kernel/utsname.c 10'
what[n11]='comment arch/arm/mm/init.c 11'  what[n12]='note fs/stat.c 12'
what[s1]='note mm/vmstat.c 101'            what[s2]='comment mm/swap_slots.c 102'
main=(n1 n2 n3 broken mended n4 FORK n5 n6 MERGE n7 dying revived n8 n9 n10 n11 n12)

# Before which commit the culprit comes; never between a bad commit and its mending.
slots=(n2 n3 broken n4 s1 s2 n5 n6 n7 dying n8 n9 n10 n11 n12)
slot=${slots[$(awk -v seed="$seed" -v n="${#slots[@]}" 'BEGIN { srand(seed); print int(rand() * n) }')]}

culprit() {
    if [ "$find" = fix ]; then patch -s -p1 <"$swap"; else patch -s -R -p1 <"$swap"; fi
    commit 'mm: rework the arguments of read_swap_cache_async()'
    git rev-parse HEAD >"$out.culprit"
}
step() { # NAME
    if [ "$1" = "$slot" ]; then culprit; fi
    case $1 in
    broken) printf '\nint e2e_broken = no_such_symbol;\n' >>mm/mlock.c; commit 'mm: add a default' ;;
    mended) git checkout -q first -- mm/mlock.c; commit 'mm: take the default back' ;;
    dying) printf '\nstatic int __init e2e_die(void)\n{\n\tpanic("e2e: of something else");\n}\nlate_initcall(e2e_die);\n' \
        >>mm/madvise_e2e.h; printf '#include "madvise_e2e.h"\n' >>mm/mlock.c; commit 'mm: check at boot' ;;
    revived) git rm -q -f mm/madvise_e2e.h; git checkout -q first -- mm/mlock.c; commit 'mm: do not check at boot' ;;
    *) ${what[$1]}; commit "note $1" ;;
    esac
}

rm -f "$out.culprit"
mkdir -p "$out"
out=$(realpath "$out")
cp -a "$tree"/. "$out"/
cd "$out"
git init -q -b topic .
git config gc.auto 0
git config core.looseCompression 0
for patch in "$checkout"/patches/v6.1/series/*.patch; do patch -s -p1 <"$patch"; done
if [ "$find" = fix ]; then patch -s -R -p1 <"$swap"; fi
find . -name '*.orig' -newer "$checkout/Cargo.toml" -delete
commit 'the tree'
git tag first
for name in "${main[@]}"; do
    case $name in
    FORK)
        git checkout -q -b side
        for inner in s1 s2; do step "$inner"; done
        git checkout -q topic
        ;;
    MERGE)
        clock=$((clock + 60))
        GIT_AUTHOR_DATE="$clock +0000" GIT_COMMITTER_DATE="$clock +0000" git merge -q --no-ff -m 'merge the side branch' side
        git branch -q -d side
        ;;
    *) step "$name" ;;
    esac
done
git log --oneline --graph topic | tail -n +1 >"$out.log"
echo "$out: $(git rev-list --count first..topic) commits, culprit written to $out.culprit"
