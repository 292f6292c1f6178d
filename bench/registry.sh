#!/bin/sh
# How fast an image gets from a store into a registry, in medians over RUNS (default 3) runs against docker-registry on
# this machine, beside `skopeo copy` of the same image from its layout, in turn; each with an empty registry. skopeo only
# copies; airlock's worker, whose part this is, compares every byte with the signed digest on its way.
#   cold       1 GiB in 6 layers, of which the registry has none                      goal: as fast as skopeo
#   changed    then the same with another layer of 20 MiB                             goal: 0.2 of skopeo's cold time
#   unchanged  then the same again
# Of each: seconds of the whole process, its CPU seconds, and its peak memory, whose goal is 64 MiB. Needs docker-registry,
# skopeo, GNU time, and 5 GiB in TMPDIR, for which memory is used where there is enough: the disk would be measured
# otherwise. Prints; asserts nothing.
set -eu

runs=${RUNS:-3}
if [ -z "${TMPDIR:-}" ] && [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')" -gt 6291456 ] 2>/dev/null; then
  export TMPDIR=/dev/shm
fi
# shellcheck source=bench/common.sh
. "$(dirname -- "$0")/common.sh"
cd "$scratch"

# image NAME NUMBER: publishes the layout of the repository NAME as a build.
image() {
  build "$1" "$2" m.json >/dev/null
  sign "$1/m.json" "$1/m.dsse.json"
  airlock --quiet -C "$1" publish m.json --envelope m.dsse.json --store "$scratch/store" >/dev/null
}

server=
stop() {
  if [ -n "$server" ]; then
    kill "$server"
    wait "$server" 2>/dev/null || true
  fi
  server=
  rm -rf data
}
trap 'stop; rm -rf "$scratch"' EXIT
# start: an empty registry, on a port that none had before, as skopeo remembers what is where.
start() {
  stop
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
    "$scratch/data" "$port" >config.yml
  docker-registry serve config.yml >registry.log 2>&1 &
  server=$! waited=0
  until curl -sf "http://127.0.0.1:$port/v2/" >/dev/null; do
    waited=$((waited + 1))
    [ $waited -lt 100 ] || { cat registry.log; echo "docker-registry doesn't answer" >&2; exit 1; }
    sleep 0.1
  done
}

with_airlock() { timed "$1" airlock bench-push "$2/m.json" "$scratch/store" "127.0.0.1:$port" app; }
with_skopeo() {
  timed "$1" skopeo skopeo copy --quiet --all --preserve-digests --dest-tls-verify=false "oci:$2/image" \
    "docker://127.0.0.1:$port/app:$2"
}

echo "registry, $(getconf _NPROCESSORS_ONLN) cores, medians of $runs runs"
airlock --quiet key generate builder >/dev/null
for name in first second; do project $name image image; done
large_images
image first 1
image second 2

i=0
while [ $i -lt "$runs" ]; do
  i=$((i + 1))
  for tool in airlock skopeo; do
    start
    "with_$tool" cold first
    "with_$tool" changed second
    "with_$tool" unchanged second
  done
done

# shown ROW TOOL: seconds, CPU seconds, MiB.
shown() {
  awk -v us="$(median "$1.$2")" -v cpu="$(median "$1.$2.cpu")" -v memory="$(median "$1.$2.memory")" \
    'BEGIN { printf "  %7.2f s %6.2f cpu %4.0f MiB", us / 1e6, cpu, memory }'
}
printf '%-11s  %-27s  %-27s  ratio  of skopeo cold\n' '' airlock skopeo
for row in cold changed unchanged; do
  printf '%-11s%s%s  %5.2f  %5.2f\n' "$row" "$(shown $row airlock)" "$(shown $row skopeo)" \
    "$(awk -v a="$(median $row.airlock)" -v b="$(median $row.skopeo)" 'BEGIN { print a / b }')" \
    "$(awk -v a="$(median $row.airlock)" -v b="$(median cold.skopeo)" 'BEGIN { print a / b }')"
done
