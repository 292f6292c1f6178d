#!/bin/sh
# How fast the pipeline is, in medians over RUNS (default 15) runs of the release binaries in $AIRLOCK_BIN:
#   start         airlock --version, as a whole process                                 goal: at most   5 ms
#   first event   from the gateway's first event to the worker's: start, stores, keys   goal: at most  50 ms
#   overhead      plan job + apply job, launched and followed, less the time that
#                 Terraform itself ran                                                  goal: at most 300 ms
# Needs GNU date, git, and terraform or tofu. Prints; asserts nothing.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
bin=$(CDPATH='' cd -- "${AIRLOCK_BIN:-$here/../target/release}" && pwd)
runs=${RUNS:-15}
PATH=$bin:$PATH
export PATH
unset AIRLOCK_CONFIG AIRLOCK_ENVIRONMENT AIRLOCK_FORMAT AIRLOCK_KEY BUILD_NUMBER GITHUB_ACTIONS GITLAB_CI JENKINS_URL
unset AIRLOCK_ARTIFACTS AIRLOCK_CHANGES AIRLOCK_GATEWAY AIRLOCK_PRODUCTION AIRLOCK_PASSPHRASE

scratch=$(mktemp -d "${TMPDIR:-/tmp}/airlock-bench.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
now() { date +%s%N; }
# median FILE: of microseconds, one a line, printed as milliseconds with the smallest and the largest.
median() {
  sort -n "$1" | awk '{ v[NR] = $1 } END { m = (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
    printf "%8.1f ms   (%.1f to %.1f, %d runs)\n", m / 1000, v[1] / 1000, v[NR] / 1000, NR }'
}

# Terraform with a clock: says how long each run took.
real=$(command -v "${AIRLOCK_TERRAFORM:-terraform}" || command -v tofu)
cat >"$scratch/terraform" <<END
#!/bin/sh
begin=\$(date +%s%N)
"$real" "\$@"
status=\$?
echo \$(( (\$(date +%s%N) - begin) / 1000 )) >>"$scratch/terraform.times"
exit \$status
END
chmod +x "$scratch/terraform"
AIRLOCK_TERRAFORM=$scratch/terraform
export AIRLOCK_TERRAFORM

cp -R "$here/../examples/hello" "$scratch/hello"
cd "$scratch/hello"
git init -q -b main .
git config user.name bench && git config user.email bench@example.com && git config commit.gpgsign false
sh build-image.sh >/dev/null
airlock --quiet init
sed -i 's/greeting = "hello"/greeting = "0"/' airlock.toml
git add -A && git commit -q -m bench

i=0
while [ $i -lt "$runs" ]; do
  i=$((i + 1))
  begin=$(now); airlock --version >/dev/null; end=$(now)
  echo $(((end - begin) / 1000)) >>"$scratch/start"

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
  echo $((spent - own)) >>"$scratch/overhead"
  echo "$own" >>"$scratch/own"
  # The two first events of the plan job, to the millisecond.
  events=.airlock/production/jobs/$job/events
  at() { date -d "$(sed -n 's/.*"at": "\(.*\)".*/\1/p' "$1")" +%s%N; }
  begin=$(at "$events/000001.json")
  began=$(grep -l '"began"' "$events"/*.json | head -n 1)
  echo $((($(at "$began") - begin) / 1000)) >>"$scratch/first"
done

printf 'airlock --version            '; median "$scratch/start"
printf 'launch to first worker event '; median "$scratch/first"
printf 'plan + apply over Terraform  '; median "$scratch/overhead"
printf 'Terraform itself             '; median "$scratch/own"
