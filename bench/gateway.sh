#!/bin/sh
# How fast the gateway is, with the release binaries in $AIRLOCK_BIN and stores that are directories:
#   size        airlock-gateway, stripped                                                    goal: at most    15 MB
#   cold start  from invoking a fresh instance of get-deploy-job-status to its answer about
#               a finished plan job, less the same for a function that does nothing; the
#               tests' double plays Lambda and STS; median of RUNS (default 25)              goal: at most    60 ms
#   launches    200 launches at once, straight into the handlers; a worker that only ends
#               is started for each                                                          goal: all are answered
#   status      requests about a finished plan job, straight into the handlers               goal: at least 1,000 a second
# Needs GNU date, git, and terraform or tofu. Prints; asserts nothing.
set -eu

runs=${RUNS:-25}
launches=200
seconds=5
# shellcheck source=bench/common.sh
. "$(dirname -- "$0")/common.sh"

example
git add -A && git commit -q -m bench
airlock --quiet manifest build --output build.json >/dev/null
airlock --quiet manifest sign build.json --key .airlock/keys/builder.pem --output build.dsse.json >/dev/null
airlock --quiet publish build.json --envelope build.dsse.json >/dev/null
job=$(airlock --quiet launch-deploy-job build.json --action plan --follow)
config=.airlock/production/config/gateway.json

wc -c <"$bin/airlock-gateway" | awk '{ printf "size        %.1f MB\n", $1 / 1e6 }'

bench-gateway cold "$config" "$job" "$bin/airlock-gateway" "$runs" >"$scratch/times/cold"
of cold | awk '{ printf "cold start  %.1f ms   (%.1f to %.1f, %d runs)\n", $1 / 1000, $2 / 1000, $3 / 1000, $4 }'

bench-gateway status "$config" "$job" "$seconds" >"$scratch/times/status"
of status | awk -v s="$seconds" '{ printf "status      %d a second; one takes %.2f ms   (%.2f to %.2f)\n",
  $4 / s, $1 / 1000, $2 / 1000, $3 / 1000 }'

printf '#!/bin/sh\n' >"$scratch/worker"
chmod +x "$scratch/worker"
AIRLOCK_WORKER=$scratch/worker
export AIRLOCK_WORKER
bench-gateway launches "$config" build.json "$launches" >"$scratch/times/launches"
awk -v n="$launches" 'END { printf "launches    %d at once: all answered after %.0f ms, %d a second\n", n, $1 / 1000, n / $1 * 1e6 }' \
  "$scratch/times/launches"
