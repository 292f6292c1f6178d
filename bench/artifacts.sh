#!/bin/sh
# How fast artifacts are hashed, described, compared and published, in medians over RUNS (default 5) runs of the release
# binary in $AIRLOCK_BIN, each beside what it is compared with, in the same run:
#   hashing    manifest build over one large file per core: bytes per second, as a share of
#              openssl speed -evp sha256 -bytes 16384 on all cores                         goal: at least  90 %
#   memory     VmHWM of build, publish and verify --artifacts for one artifact of 4 GiB    goal: at most  64 MiB
#   verify     manifest verify of 100,000 files                                            goal: at most 150 ms
#   diff       manifest diff of two such manifests                                         goal: at most 300 ms
#   many       manifest build over 100,000 unchanged small files, as a multiple of
#              find -type f -exec cat {} +                                                 goal: at most 2
# Needs Linux, GNU date, git, openssl, and 6 GiB of disk in TMPDIR. Inputs are made here. Prints; asserts nothing.
set -eu

runs=${RUNS:-5}
# shellcheck source=bench/common.sh
. "$(dirname -- "$0")/common.sh"
cores=$(getconf _NPROCESSORS_ONLN)
cd "$scratch"
# timed NAME COMMAND…: adds the microseconds that a command took to what NAME has taken so far.
timed() {
  name=$1; shift
  begin=$(now); "$@" >/dev/null 2>&1; end=$(now)
  echo $(((end - begin) / 1000)) >>"times/$name"
}
ms() { awk -v us="$(median "$1")" 'BEGIN { printf "%.1f ms", us / 1000 }'; }
# peak COMMAND…: the most memory that a command held, in MiB, looked at while it runs.
peak() {
  "$@" >/dev/null 2>&1 &
  most=0
  while now=$(awk '/^VmHWM/ { print $2 }' "/proc/$!/status" 2>/dev/null) && [ -n "$now" ]; do
    most=$now
    sleep 0.02
  done
  wait $!
  awk -v kib="$most" 'BEGIN { printf "%.1f MiB", kib / 1024 }'
}
echo "artifacts, $cores cores, medians of $runs runs"

project large directory files
mkdir large/files
i=0
while [ $i -lt "$cores" ]; do
  i=$((i + 1))
  head -c 536870912 /dev/urandom >"large/files/$i"
done
build large 1 m.json >/dev/null
i=0
while [ $i -lt "$runs" ]; do
  i=$((i + 1))
  openssl speed -evp sha256 -bytes 16384 -seconds 1 -multi "$cores" 2>/dev/null |
    awk '/^sha256/ { sub("k$", "", $2); print $2 * 1000 }' >>times/openssl
  timed large build large 1 m.json
done
awk -v us="$(median large)" -v openssl="$(median openssl)" -v n="$cores" 'BEGIN {
  rate = n * 536870912 / us * 1e6
  printf "  hashing    %.0f MB/s, %.0f %% of openssl (%.0f MB/s)\n", rate / 1e6, 100 * rate / openssl, openssl / 1e6 }'
rm -rf large

project huge directory files
mkdir huge/files
truncate -s 4G huge/files/image
airlock --quiet key generate builder >/dev/null
printf '  memory     build %s' "$(peak airlock --quiet -C huge manifest build --build-number 1 --output m.json)"
sign huge/m.json huge/m.dsse.json
printf ', publish %s' "$(peak airlock --quiet -C huge publish m.json --envelope m.dsse.json --store store)"
printf ', verify %s\n' "$(peak airlock --quiet manifest verify huge/m.json --envelope huge/m.dsse.json \
  --key builder.pub.pem --artifacts huge)"
rm -rf huge

project many directory files
mkdir many/files
awk 'BEGIN { for (d = 0; d < 500; d++) { system("mkdir many/files/" d)
  for (f = 0; f < 200; f++) { file = "many/files/" d "/" f; print "file " f " of directory " d >file; close(file) } } }'
build many 1 one.json >/dev/null
sign many/one.json many/one.dsse.json
echo changed >many/files/0/0
build many 2 two.json >/dev/null
i=0
while [ $i -lt "$runs" ]; do
  i=$((i + 1))
  timed verify airlock manifest verify many/one.json --envelope many/one.dsse.json --key builder.pub.pem
  timed diff airlock manifest diff many/one.json many/two.json --format json
  timed find find many/files -type f -exec cat {} +
  timed many build many 2 again.json
done
echo "  verify     $(ms verify)"
echo "  diff       $(ms diff)"
awk -v ours="$(median many)" -v find="$(median find)" 'BEGIN {
  printf "  many       %.0f ms, %.2f times find and cat (%.0f ms)\n", ours / 1000, ours / find, find / 1000 }'
