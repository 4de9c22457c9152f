# SPDX-License-Identifier: GPL-2.0-only
# A terminal that a test types into and reads, by tmux; for `.`, after `fail` is defined.
# It ends with the test.

terminals=0
tmux=true
trap '$tmux kill-server 2>/dev/null || true' EXIT

# Runs the command in a new one, on a server of its own: one that is told to end takes a
# while to do so, and nothing can begin on it meanwhile.
terminal() {
    $tmux kill-server 2>/dev/null || true
    terminals=$((terminals + 1))
    tmux="tmux -L kvm-gup-io-e2e-$$-$terminals"
    $tmux new-session -d -x 200 -y 500 "$1"
}

type_in() { $tmux send-keys "$1" Enter; }

screen() { $tmux capture-pane -p -S -500; }

# Until the pattern is on the screen, for five minutes.
await() {
    for _ in $(seq 600); do
        if screen | grep -qE "$1"; then return; fi
        sleep 0.5
    done
    screen; fail "never on the screen: $1"
}
