#!/bin/sh
# How fast the pipeline is, in medians over RUNS (default 15) runs of the release binaries in $AIRLOCK_BIN:
#   start         airlock --version, as a whole process                                 goal: at most   5 ms
#   first event   from the gateway's first event to the worker's: start, stores, keys   goal: at most  50 ms
#   overhead      plan job + apply job, launched and followed, less the time that
#                 Terraform itself ran                                                  goal: at most 150 ms
# Needs GNU date, bash 5, git, and terraform or tofu. Prints; asserts nothing.
set -eu

runs=${RUNS:-15}
# shellcheck source=bench/common.sh
. "$(dirname -- "$0")/common.sh"
# told NAME: a line of the result, in milliseconds.
told() {
  of "$1" | awk '{ printf "%8.1f ms   (%.1f to %.1f, %d runs)\n", $1 / 1000, $2 / 1000, $3 / 1000, $4 }'
}

# Terraform with a clock: says how long each run took. Bash knows the time by itself: a program that is asked for it would
# take longer than what is left of the overhead.
real=$(command -v "${AIRLOCK_TERRAFORM:-terraform}" || command -v tofu)
cat >"$scratch/terraform" <<END
#!/usr/bin/env bash
begin=\${EPOCHREALTIME/./}
"$real" "\$@"
status=\$?
echo \$(( \${EPOCHREALTIME/./} - begin )) >>"$scratch/terraform.times"
exit \$status
END
chmod +x "$scratch/terraform"
AIRLOCK_TERRAFORM=$scratch/terraform
export AIRLOCK_TERRAFORM

example
sed -i 's/greeting = "hello"/greeting = "0"/' airlock.toml
git add -A && git commit -q -m bench

i=0
while [ $i -lt "$runs" ]; do
  i=$((i + 1))
  begin=$(now); airlock --version >/dev/null; end=$(now)
  echo $(((end - begin) / 1000)) >>"$scratch/times/start"

  sed -i "s/greeting = \"[0-9]*\"/greeting = \"$i\"/" airlock.toml
  git commit -q -a -m "$i"
  airlock --quiet manifest build --output build.json >/dev/null
  airlock --quiet manifest sign build.json --key .airlock/keys/builder.pem --output build.dsse.json >/dev/null
  airlock --quiet publish build.json --envelope build.dsse.json >/dev/null
  : >"$scratch/terraform.times"
  begin=$(now); job=$(airlock --quiet launch-deploy-job build.json --action plan --follow); end=$(now)
  spent=$(((end - begin) / 1000))
  change=$(airlock --quiet change open build.json --plan-job "$job")
  airlock --quiet change approve "$change" --key .airlock/keys/approver.pem >/dev/null
  begin=$(now); airlock --quiet launch-deploy-job build.json --action apply --change "$change" --follow >/dev/null; end=$(now)
  spent=$((spent + (end - begin) / 1000))
  own=$(awk '{ s += $1 } END { print s }' "$scratch/terraform.times")
  echo $((spent - own)) >>"$scratch/times/overhead"
  echo "$own" >>"$scratch/times/own"
  # The two first events of the plan job, to the millisecond.
  events=.airlock/production/jobs/$job/events
  at() { date -d "$(sed -n 's/.*"at": "\(.*\)".*/\1/p' "$1")" +%s%N; }
  begin=$(at "$events/000001.json")
  began=$(grep -l '"began"' "$events"/*.json | head -n 1)
  echo $((($(at "$began") - begin) / 1000)) >>"$scratch/times/first"
done

printf 'airlock --version            '; told start
printf 'launch to first worker event '; told first
printf 'plan + apply over Terraform  '; told overhead
printf 'Terraform itself             '; told own
