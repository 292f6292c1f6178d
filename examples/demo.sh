#!/bin/sh
# The whole story on one machine: two builds go from a git repository into "production" and five attacks are refused.
# Needs the binaries in $AIRLOCK_BIN (or beside this checkout's target/release), git, and terraform or tofu.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
bin=${AIRLOCK_BIN:-$here/../target/release}
bin=$(CDPATH='' cd -- "$bin" && pwd)
PATH=$bin:$PATH
export PATH
# shellcheck source=examples/telling.sh
. "$here/telling.sh"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/airlock-demo.XXXXXX")
repo=$scratch/hello
cp -R "$here/hello" "$repo"
cd "$repo"
git init -q -b main .
git config user.name 'Ada Example'
git config user.email ada@example.com
git config commit.gpgsign false
commit() { git add -A && git commit -q -m "$1"; }
store=$repo/.airlock/artifacts
production=$repo/.airlock/production
approver=.airlock/keys/approver.pem
builder=.airlock/keys/builder.pem

# build OUTPUT: makes the image, describes the build, signs it, publishes it.
build() {
  quietly sh build-image.sh
  quietly airlock manifest build --output "$1.json"
  quietly airlock manifest sign "$1.json" --key $builder --output "$1.dsse.json"
  quietly airlock publish "$1.json" --envelope "$1.dsse.json"
}
# plan BUILD: prints the plan job's id once it has planned.
plan() { airlock --quiet launch-deploy-job "$1" --action plan --follow; }

chapter 'Set-up: a git repository, keys, two stores, a signed trust policy'
run sh build-image.sh
commit 'hello: the first version'
run airlock init
commit 'airlock: set up'

chapter 'Build 1: from the working tree into production, step by step'
run airlock manifest build --output build-1.json
run airlock manifest sign build-1.json --key $builder --output build-1.dsse.json
run airlock manifest verify build-1.json --envelope build-1.dsse.json --key .airlock/keys/builder.pub.pem
run airlock publish build-1.json --envelope build-1.dsse.json
tell 'The plan job verifies the build behind the gap and says what applying it would do. Nothing is changed yet.'
job=$(plan build-1.json)
run airlock change open build-1.json --plan-job "$job"
run airlock change approve CHG-1 --key $approver --comment 'the first deploy'
tell 'The apply job verifies build, plan and approval again, and applies exactly that saved plan.'
run airlock launch-deploy-job build-1.json --action apply --change CHG-1 --follow
quietly airlock change close CHG-1

chapter 'Build 2: a visible change'
sed 's/greeting = "hello"/greeting = "hello again"/' airlock.toml >airlock.toml.new && mv airlock.toml.new airlock.toml
printf '<p>Now with a second page.</p>\n' >public/second.html
commit 'hello: greet again, on a second page'
build build-2
run airlock manifest diff build-1.json build-2.json
job=$(plan build-2.json)
run airlock change open build-2.json --plan-job "$job" --summary 'greet people again'
run airlock change show CHG-2
run airlock change approve CHG-2 --key $approver
run airlock launch-deploy-job build-2.json --action apply --change CHG-2 --follow
quietly airlock change close CHG-2
run airlock deployed
run airlock audit verify

chapter 'Five attacks on build 3'
printf '<p>And a third.</p>\n' >public/third.html
commit 'hello: a third page'
build build-3

tell '1. Somebody changes one byte of an image layer in the artifacts store.'
job=$(plan build-3.json)
quietly airlock change open build-3.json --plan-job "$job"
quietly airlock change approve CHG-3 --key $approver
layer=$(airlock manifest show build-3.json --raw | sed -n '/tar+gzip/,/digest/s/.*"digest": "sha256:\([0-9a-f]*\)".*/\1/p' | tail -n 1)
cp "$store/blobs/sha256/$layer" "$scratch/layer"
chmod u+w "$store/blobs/sha256/$layer"
printf 'X' | dd of="$store/blobs/sha256/$layer" bs=1 seek=100 conv=notrunc 2>/dev/null
refused blob.mismatch airlock launch-deploy-job build-3.json --action apply --change CHG-3 --follow
cp "$scratch/layer" "$store/blobs/sha256/$layer"

tell '2. Mallory approves with a key of her own.'
quietly airlock key generate mallory --out "$scratch"
forged=$(airlock --quiet change approve CHG-3 --key "$scratch/mallory.pem" --comment 'fine by me' 2>/dev/null)
refused approval.untrusted airlock launch-deploy-job build-3.json --action apply --change CHG-3 --approval "$forged"

tell "3. Somebody copies build 2's approval beside build 3."
second=$(sha256sum build-2.json | cut -d' ' -f1)
third=$(sha256sum build-3.json | cut -d' ' -f1)
cp "$store/attestations/$second/approval/"*.json "$store/attestations/$third/approval/"
other=$(basename "$(ls "$store/attestations/$second/approval/"*.json)" | cut -d- -f1)
refused approval.mismatch airlock launch-deploy-job build-3.json --action apply --change CHG-3 --approval "sha256:$other"

tell '4. Somebody replays build 1, which was signed and approved once, over build 2.'
job=$(plan build-1.json)
quietly airlock change open build-1.json --plan-job "$job"
quietly airlock change approve CHG-4 --key $approver
refused manifest.rollback airlock launch-deploy-job build-1.json --action apply --change CHG-4

tell '5. Somebody in production edits the saved plan after it was approved.'
job=$(plan build-3.json)
saved=$production/saved-plans/$job.tfplan
cp "$saved" "$scratch/saved.tfplan"
chmod u+w "$saved"
printf 'X' | dd of="$saved" bs=1 seek=200 conv=notrunc 2>/dev/null
refused plan.edited airlock launch-deploy-job build-3.json --action apply --change CHG-3 --follow
cp "$scratch/saved.tfplan" "$saved"

chapter 'What is left to try'
cat <<END
Everything is in $repo. With $bin in PATH:

    cd $repo
    airlock deployed                          what runs, since when, approved by whom
    airlock audit log                         every job and deployment
    airlock explain plan.edited               what a reason code means
    airlock deploy --approve-with $approver   build 3, all in one
    airlock change approve CHG-4 --key $approver --rollback
                                              say yes to going back to build 1 …
    airlock launch-deploy-job build-1.json --action apply --change CHG-4 --follow
                                              … and do it
    rm -rf $scratch
END
