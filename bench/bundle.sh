#!/bin/sh
# How long a worker takes to extract a Terraform bundle of 500 files and to judge its configuration, in the median over
# RUNS (default 15) runs of the release binaries in $AIRLOCK_BIN.                         goal: at most  50 ms
# Needs git. Prints; asserts nothing. For half a minute after many files were deleted, as after a run of this, ext4 is slow
# at making files: wait that long before another.
set -eu

runs=${RUNS:-15}
# shellcheck source=bench/common.sh
. "$(dirname -- "$0")/common.sh"

project "$scratch/many" terraform infra
mkdir "$scratch/many/infra"
: >"$scratch/many/infra/.terraform.lock.hcl"
# 50 modules of 9 files each, called by 49 files beside the lock file: about 1 KB each.
part() {
  printf 'variable "%s" {\n  type    = string\n  default = "a value of this size"\n}\n\n' "$1"
  for name in first second third; do
    # shellcheck disable=SC2016 # The dollar is for Terraform.
    printf 'resource "terraform_data" "%s_%s" {\n  input = {\n    name  = "%s-${var.%s}"\n    size  = length(var.%s)\n' \
      "$1" "$name" "$name" "$1" "$1"
    printf '    words = [for word in split(" ", var.%s) : upper(word)]\n  }\n  lifecycle {\n    ignore_changes = []\n  }\n}\n\n' "$1"
  done
}
number=0
while [ $number -lt 50 ]; do
  number=$((number + 1))
  module=$scratch/many/infra/modules/m$number
  mkdir -p "$module"
  for file in a b c d e f g h i; do part "$file" >"$module/$file.tf"; done
  [ $number -eq 50 ] || printf 'module "m%s" {\n  source = "./modules/m%s"\n}\n' $number $number >"$scratch/many/infra/m$number.tf"
done
cd "$scratch/many"
printf '[[deploy]]\nterraform = "bench"\n' >>airlock.toml
git add . && commit
airlock --quiet manifest build --build-number 1 --output build.json
(cd "$scratch" && airlock --quiet key generate builder >/dev/null && sign many/build.json build.dsse.json)
airlock --quiet publish build.json --envelope "$scratch/build.dsse.json" --store "$scratch/store" >/dev/null
bench-bundle build.json "$scratch/store" "$runs" >"$scratch/times/bundle"
files=$(airlock manifest show build.json --format json | tr ',' '\n' | grep -c '"path"')
printf 'bundle of %s files         ' "$files"
of bundle | awk '{ printf "%8.1f ms   (%.1f to %.1f, %d runs)\n", $1 / 1000, $2 / 1000, $3 / 1000, $4 }'
