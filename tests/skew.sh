#!/bin/sh
# The demo's story with programs of two revisions: an old gateway and CLI (in local mode they are one program) with this
# checkout's worker, and the other way round. Builds the old revision in a worktree below the target directory, where it
# stays for the next time.
#
#     sh tests/skew.sh REVISION          needs this checkout's own debug build, git, cargo, and terraform or tofu
set -eu

[ $# -eq 1 ] || { echo "usage: sh tests/skew.sh REVISION" >&2; exit 2; }
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
revision=$(git -C "$here" rev-parse --verify --quiet "$1^{commit}") \
  || { echo "skew: $1 is no revision of this repository" >&2; exit 2; }
target=${CARGO_TARGET_DIR:-$here/target}
old=$target/skew/source
new=$target/debug

if [ -e "$old/.git" ]; then
  git -C "$old" checkout --quiet --detach "$revision"
else
  git -C "$here" worktree prune
  git -C "$here" worktree add --quiet --detach "$old" "$revision"
fi
(cd "$old" && CARGO_TARGET_DIR=$target/skew/target "${CARGO:-cargo}" build --quiet --locked --bins)

# story NAME, CLI'S BINARIES, WORKER'S BINARIES, WHOSE DEMO: fails if the demo does.
story() {
  log=$target/skew/$1.log
  if AIRLOCK_BIN=$2 AIRLOCK_WORKER=$3/airlock-worker sh "$4/examples/demo.sh" >"$log" 2>&1; then
    echo "$1: the whole story, five attacks refused"
  else
    echo "$1: failed; $log ends with" >&2
    tail -n 20 "$log" >&2
    return 1
  fi
}

failed=0
story old-cli-new-worker "$target/skew/target/debug" "$new" "$old" || failed=1
story new-cli-old-worker "$new" "$target/skew/target/debug" "$here" || failed=1
exit $failed
