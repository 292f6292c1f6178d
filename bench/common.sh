# shellcheck shell=sh
# For the benchmarks beside it, which source it: release binaries on the path, a clean environment, a scratch directory
# that goes with the script, and medians.

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
bin=$(CDPATH='' cd -- "${AIRLOCK_BIN:-$here/../target/release}" && pwd)
PATH=$bin:$PATH
export PATH
unset AIRLOCK_CONFIG AIRLOCK_ENVIRONMENT AIRLOCK_FORMAT AIRLOCK_KEY BUILD_NUMBER GITHUB_ACTIONS GITLAB_CI JENKINS_URL
unset AIRLOCK_ARTIFACTS AIRLOCK_CHANGES AIRLOCK_GATEWAY AIRLOCK_PRODUCTION AIRLOCK_PASSPHRASE

scratch=$(mktemp -d "${TMPDIR:-/tmp}/airlock-bench.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/times"

now() { date +%s%N; }
# of NAME: what was noted in times/NAME: the median, the smallest, the largest and how many.
of() {
  sort -n "$scratch/times/$1" | awk '{ v[NR] = $1 } END {
    printf "%.2f %s %s %d\n", (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2, v[1], v[NR], NR }'
}
median() { of "$1" | cut -d ' ' -f 1; }
# timed ROW TOOL COMMAND…, in the scratch directory: notes the time in times/ROW.TOOL, the seconds of processor and the MiB of
# memory beside it.
timed() {
  row=$1 tool=$2; shift 2
  begin=$(now)
  env time -q -f '%U %S %M' -o used "$@" >out 2>&1 || { cat out; echo "$row: $* failed" >&2; exit 1; }
  end=$(now)
  echo $(((end - begin) / 1000)) >>"times/$row.$tool"
  awk '{ print $1 + $2 }' used >>"times/$row.$tool.cpu"
  awk '{ print $3 / 1024 }' used >>"times/$row.$tool.memory"
}
# project NAME KIND PATH: a repository with one artifact.
project() {
  git init -q -b main "$1"
  printf 'project = "bench"\n[artifacts.bench]\nkind = "%s"\npath = "%s"\n' "$2" "$3" >"$1/airlock.toml"
  (cd "$1" && git add airlock.toml && commit)
}
# commit: what was added.
commit() { git -c user.name=bench -c user.email=bench@example.com -c commit.gpgsign=false commit -q -m bench; }
# build PROJECT NUMBER OUTPUT, relative to the project.
build() { airlock --quiet -C "$1" manifest build --build-number "$2" --output "$3"; }
# sign MANIFEST ENVELOPE, relative to the scratch directory, in which `airlock key generate builder` was run.
sign() { airlock --quiet manifest sign --key builder.pem "$1" --output "$2" >/dev/null; }
# example: goes into a copy of the example service, its image built, set up and not committed.
example() {
  cp -R "$here/../examples/hello" "$scratch/hello"
  cd "$scratch/hello" || exit 1
  git init -q -b main .
  git config user.name bench && git config user.email bench@example.com && git config commit.gpgsign false
  sh build-image.sh >/dev/null 2>&1
  airlock --quiet init
}
# blob FILE: goes into the layout that is being made; sets $digest and $size.
blob() {
  digest=$(sha256sum "$1" | cut -d ' ' -f 1) size=$(stat -c %s "$1")
  ln -f "$1" "$layout/blobs/sha256/$digest"
}
# layout NAME LAYER…: an OCI image layout of these files.
layout() {
  layout=$1/image; shift
  mkdir -p "$layout/blobs/sha256"
  echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
  layers='' oci=application/vnd.oci.image
  for layer in "$@"; do
    blob "$layer"
    layers="$layers${layers:+,}{\"mediaType\":\"$oci.layer.v1.tar+gzip\",\"digest\":\"sha256:$digest\",\"size\":$size}"
  done
  echo '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}' >config
  blob config
  printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"sha256:%s","size":%s},"layers":[%s]}' \
    "$oci.manifest.v1+json" "$oci.config.v1+json" "$digest" "$size" "$layers" >manifest
  blob manifest
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s","digest":"sha256:%s","size":%s}]}' \
    "$oci.manifest.v1+json" "$digest" "$size" >"$layout/index.json"
  rm config manifest
}
# large_images: the layouts first/image, 1 GiB in 6 layers, and second/image, in which the last one, of 20 MiB, is another.
large_images() {
  number=0
  for size in 400 300 200 84 20 20; do
    number=$((number + 1))
    head -c $((size * 1048576)) /dev/urandom >layer$number
  done
  head -c 20971520 /dev/urandom >other
  layout first layer1 layer2 layer3 layer4 layer5 layer6
  layout second layer1 layer2 layer3 layer4 layer5 other
}
