# shellcheck shell=sh
# For the demos beside it, which source it: a clean environment, and commands shown as they could be typed. They set
# `scratch`, a directory that is theirs.
# shellcheck disable=SC2154 # it is theirs

# Nothing of the caller's set-up may change the story.
unset AIRLOCK_CONFIG AIRLOCK_ENVIRONMENT AIRLOCK_FORMAT AIRLOCK_KEY BUILD_NUMBER GITHUB_ACTIONS GITLAB_CI JENKINS_URL
unset GIT_BRANCH GIT_COMMIT GIT_URL BRANCH_NAME CHANGE_ID TAG_NAME
unset AIRLOCK_ARTIFACTS AIRLOCK_CHANGES AIRLOCK_GATEWAY AIRLOCK_PRODUCTION AIRLOCK_PASSPHRASE

bold='' dim='' green='' red='' reset=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$(printf '\033[1m') dim=$(printf '\033[2m') green=$(printf '\033[32m') red=$(printf '\033[31m')
  reset=$(printf '\033[0m')
fi

chapter() { printf '\n%s== %s%s\n' "$bold" "$1" "$reset"; }
tell() { printf '%s%s%s\n' "$dim" "$1" "$reset"; }
show() { # prints a command as it could be typed
  printf '%s$' "$green"
  for word in "$@"; do
    case $word in *' '*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
  done
  printf '%s\n' "$reset"
}
run() { # shows a command, then runs it, which must succeed
  show "$@"
  status=0
  "$@" >"$scratch/said" 2>&1 || status=$?
  sed 's/^/    /' "$scratch/said"
  [ "$status" -eq 0 ] || { printf 'demo: exit code %s was not expected\n' "$status" >&2; exit 1; }
}
quietly() { "$@" >/dev/null 2>&1 || { printf 'demo: failed: %s\n' "$*" >&2; "$@"; exit 1; }; }

# refused CODE COMMAND...: the command must fail, and say CODE.
refused() {
  code=$1
  shift
  show "$@"
  status=0
  "$@" >"$scratch/said" 2>&1 || status=$?
  sed 's/^/    /' "$scratch/said"
  if [ "$status" -eq 0 ] || ! grep -q "$code" "$scratch/said"; then
    printf 'demo: expected a refusal with %s, got exit code %s\n' "$code" "$status" >&2
    exit 1
  fi
  printf '    %srefused: %s (exit code %s)%s\n' "$red" "$code" "$status" "$reset"
}
