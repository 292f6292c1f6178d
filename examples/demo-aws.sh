#!/bin/sh
# The demo's story with production in an AWS account of its own: stores in S3, the gateway as Lambda functions, workers as
# ECS tasks, keys in KMS, Terraform as a role of its own with its state in S3, IAM deciding each call. AWS is played, on
# this machine, by SeaweedFS and by the double that the tests use, which run the real functions and the real worker.
# Needs the binaries in $AIRLOCK_BIN, what `make test-tools` installs into $AIRLOCK_TOOLS, curl, git, and terraform or tofu.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
bin=$(CDPATH='' cd -- "$AIRLOCK_BIN" && pwd)
PATH=$bin:$PATH
export PATH
# shellcheck source=examples/telling.sh
. "$here/telling.sh"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/airlock-demo.XXXXXX")
pids=''
# shellcheck disable=SC2086 # one word for each server
trap 'kill -9 $pids 2>/dev/null || :; rm -rf "$scratch"' EXIT
ci=111111111111 prod=222222222222 region=eu-central-1
lambda=arn:aws:lambda:$region:$prod:function:airlock
repo=$scratch/hello
cp -R "$here/hello" "$repo"
cd "$repo"

chapter 'Set-up: two AWS accounts, played on this machine'
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1] % 40000 + 10000)'; }
s3=$(port) master=$(port) volume=$(port) filer=$(port)
mkdir "$scratch/s3" "$scratch/behind"
"$AIRLOCK_TOOLS/bin/weed" server -dir="$scratch/s3" -ip=127.0.0.1 -ip.bind=127.0.0.1 -filer -s3 -s3.port="$s3" \
  -master.port="$master" -volume.port="$volume" -filer.port="$filer" -s3.port.iceberg=0 -s3.port.lance=0 \
  -master.volumeSizeLimitMB=1024 -volume.max=500 >"$scratch/weed.log" 2>&1 &
pids=$!
waited=0
until curl -sf "http://127.0.0.1:$master/dir/assign" >/dev/null &&
  curl -sf -X POST "http://127.0.0.1:$filer/buckets/artifacts/" >/dev/null &&
  curl -sf -X POST "http://127.0.0.1:$filer/buckets/states/" >/dev/null; do
  waited=$((waited + 1))
  [ $waited -lt 240 ] || { cat "$scratch/weed.log" >&2; echo "demo: SeaweedFS doesn't answer" >&2; exit 1; }
  sleep 0.5
done
# Production's own store is marked by whoever makes its bucket.
printf '{"schema":"airlock/store/v1"}' |
  curl -sf -X PUT -T - "http://127.0.0.1:$filer/buckets/production/airlock/airlock-store.json" >/dev/null

quietly airlock key generate root --out "$scratch"
quietly airlock key generate approver --out "$scratch"
root=$(airlock key public --ssh "$scratch/root.pem")
double=$(port) address=http://127.0.0.1:$double

# quoted TEXT: as a JSON string.
quoted() { printf '"%s"' "$(printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g' | tr -d '\n')"; }
stores="\"artifacts\": \"s3://artifacts/airlock\", \"production\": \"s3://production/airlock\",
  \"roots\": {\"threshold\": 1, \"keys\": [\"$root\"]}, \"place\": \"aws\""
# worker ROLE: the configuration of a worker, and its task definition.
worker() {
  config="{$stores, \"role\": \"$1\", \"key\": \"awskms:///alias/$1\", \"deadlineSeconds\": 600,
    \"aws\": {\"region\": \"$region\", \"endpoint\": \"$address\"}, \"terraform\": \"$(command -v "$AIRLOCK_TERRAFORM")\",
    \"terraformRole\": \"arn:aws:iam::$prod:role/terraform-$1\",
    \"state\": \"s3://states/airlock\", \"stateBucket\": {\"path-style\": true},
    \"work\": \"$scratch/behind/work\", \"cluster\": \"$scratch/behind/cluster\"}"
  cat <<END
{"family": "airlock-$1", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
 "taskRoleArn": "arn:aws:iam::$prod:role/$1",
 "containerDefinitions": [{"name": "worker", "image": "airlock-worker", "stopTimeout": 120,
   "entryPoint": ["/usr/local/bin/airlock-worker", "--task", $(quoted "$config"), "--"]}]}
END
}
gateway="{$stores, \"launcher\": {\"ecs\": {\"cluster\": \"airlock\", \"container\": \"worker\",
  \"planner\": \"arn:aws:ecs:$region:$prod:task-definition/airlock-planner:1\",
  \"deployer\": \"arn:aws:ecs:$region:$prod:task-definition/airlock-deployer:1\",
  \"subnets\": [\"subnet-1\"], \"securityGroups\": [\"sg-1\"]}}}"
callers="{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Principal\": {\"AWS\": \"arn:aws:iam::$ci:user/ci\"},
  \"Action\": \"lambda:InvokeFunction\", \"Resource\": \"*\"}]}"
# described NAME: a function.
described() {
  cat <<END
{"name": "airlock-$1", "handler": "$1", "role": "arn:aws:iam::$prod:role/gateway", "program": "$bin/airlock-gateway",
 "timeout": 60, "environment": {"AIRLOCK_GATEWAY_CONFIG": $(quoted "$gateway")}, "policy": $callers}
END
}
# policy STATEMENT…
policy() {
  printf '{"Version": "2012-10-17", "Statement": [%s' "$1"
  shift
  [ $# -eq 0 ] || printf ', %s' "$@"
  printf ']}'
}
allow() { printf '{"Effect": "Allow", "Action": %s, "Resource": %s}' "$1" "$2"; }
trust() { policy "{\"Effect\": \"Allow\", \"Principal\": {\"Service\": \"$1\"}, \"Action\": \"sts:AssumeRole\"}"; }
trust_role() { policy "{\"Effect\": \"Allow\", \"Principal\": {\"AWS\": \"arn:aws:iam::$prod:role/$1\"}, \"Action\": [\"sts:AssumeRole\", \"sts:TagSession\"]}"; }
bucket() { printf '["arn:aws:s3:::%s", "arn:aws:s3:::%s/*"]' "$1" "$1"; }
read_artifacts=$(allow '["s3:GetObject", "s3:ListBucket"]' "$(bucket artifacts)")
write_artifacts=$(allow '["s3:PutObject", "s3:ListBucketMultipartUploads", "s3:AbortMultipartUpload"]' "$(bucket artifacts)")
own_store=$(allow '["s3:GetObject", "s3:PutObject", "s3:ListBucket"]' "$(bucket production)")
# What Terraform saved is for planner and deployer.
no_plans='{"Effect": "Deny", "Action": "s3:*", "Resource": ["arn:aws:s3:::production/airlock/saved-plans/*",
  "arn:aws:s3:::production/airlock/errored-states/*"]}'
run_tasks=$(allow '["ecs:RunTask", "ecs:DescribeTasks", "ecs:StopTask"]' '"*"')
pass_roles="{\"Effect\": \"Allow\", \"Action\": \"iam:PassRole\", \"Resource\": \"arn:aws:iam::$prod:role/*\",
  \"Condition\": {\"StringEquals\": {\"iam:PassedToService\": \"ecs-tasks.amazonaws.com\"}}}"
read_states=$(allow '["s3:GetObject", "s3:ListBucket"]' "$(bucket states)")
write_states=$(allow '["s3:PutObject", "s3:DeleteObject"]' "$(bucket states)")
become_terraform=$(allow '["sts:AssumeRole", "sts:TagSession"]' "\"arn:aws:iam::$prod:role/terraform-*\"")
sign=$(allow '["kms:GetPublicKey", "kms:Sign"]' '"*"')
call=$(allow '"lambda:InvokeFunction"' "\"$lambda-*\"")
production_reads="{\"Effect\": \"Allow\", \"Principal\": {\"AWS\": \"arn:aws:iam::$prod:root\"}, \"Action\": [\"s3:GetObject\", \"s3:ListBucket\"],
  \"Resource\": $(bucket artifacts)}"
cat >"$scratch/world.json" <<END
{"s3": "http://127.0.0.1:$s3", "pace": 50,
 "images": {"airlock-worker": {"/usr/local/bin/airlock-worker": "$bin/airlock-worker"}},
 "accounts": {
   "$ci": {
     "users": {"ci": [$(policy "$call" "$sign" "$read_artifacts" "$write_artifacts")]},
     "keys": [{"alias": "builder", "seed": 1}],
     "buckets": {"artifacts": $(policy "$production_reads")}},
   "$prod": {
     "users": {"security": [$(policy "$(allow '"kms:GetPublicKey"' '"*"')")]},
     "roles": [
       {"name": "gateway", "trust": $(trust lambda.amazonaws.com), "policies": [$(policy "$read_artifacts" "$own_store" "$no_plans" "$run_tasks" "$pass_roles")]},
       {"name": "planner", "trust": $(trust ecs-tasks.amazonaws.com), "policies": [$(policy "$read_artifacts" "$own_store" "$sign" "$become_terraform")]},
       {"name": "deployer", "trust": $(trust ecs-tasks.amazonaws.com), "policies": [$(policy "$read_artifacts" "$own_store" "$sign" "$become_terraform")]},
       {"name": "terraform-planner", "trust": $(trust_role planner), "policies": [$(policy "$read_states")]},
       {"name": "terraform-deployer", "trust": $(trust_role deployer), "policies": [$(policy "$read_states" "$write_states")]}],
     "keys": [{"alias": "planner", "seed": 2}, {"alias": "deployer", "seed": 3}],
     "buckets": {"production": null, "states": null},
     "clusters": ["airlock"],
     "taskDefinitions": [$(worker planner), $(worker deployer)],
     "functions": [$(described launch-deploy-job), $(described get-deploy-job-status), $(described cancel-deploy-job)]}}}
END
aws-double "$scratch/world.json" "$double" >"$scratch/world" &
pids="$pids $!"
while [ ! -s "$scratch/world" ]; do
  kill -0 $! || { echo 'demo: the double of AWS ended' >&2; exit 1; }
  sleep 0.1
done
# as USER: with that user's credentials from here on.
as() {
  keys=$(sed -n "s|.*\"$1\":{\([^}]*\)}.*|\1|p" "$scratch/world")
  AWS_ACCESS_KEY_ID=$(printf '%s' "$keys" | sed -n 's/.*"accessKey":"\([^"]*\)".*/\1/p')
  AWS_SECRET_ACCESS_KEY=$(printf '%s' "$keys" | sed -n 's/.*"secretKey":"\([^"]*\)".*/\1/p')
}
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_CA_BUNDLE
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_ENDPOINT_URL="$address" AWS_REGION=$region AWS_EC2_METADATA_DISABLED=true

git init -q -b main .
git config user.name 'Ada Example'
git config user.email ada@example.com
git config commit.gpgsign false
commit() { git add -A && git commit -q -m "$1"; }
printf '%s\n' "$root" >root.pub
cat >>airlock.toml <<END

[environments.production]
artifacts = "s3://artifacts/airlock"
gateway = "lambda:$lambda"
roots = ["root.pub"]
changes = ".airlock/changes"
END
printf '.airlock/\nbuild*.json\nenvelope.json\n' >.gitignore
sed -n '/\[environments/,$p' airlock.toml

chapter 'Once: who may sign what, said by the root key and published into the artifacts store'
tell 'As the security team, in the account of production: the worker keys never leave KMS.'
as "arn:aws:iam::$prod:user/security"
for role in planner deployer; do
  airlock key public "awskms:///alias/$role" >"$scratch/$role.pub.pem"
done
as "arn:aws:iam::$ci:user/ci"
airlock key public awskms:///alias/builder >"$scratch/builder.pub.pem"
run airlock trust init --root "$scratch/root.pub.pem" --builder "$scratch/builder.pub.pem" \
  --planner "$scratch/planner.pub.pem" --deployer "$scratch/deployer.pub.pem" --approver "ada=$scratch/approver.pub.pem" \
  --environment production --project hello --account $prod --region $region --output "$scratch/trust-policy.json"
run airlock trust sign "$scratch/trust-policy.json" --key "$scratch/root.pem" --output "$scratch/trust.dsse.json"
run airlock trust publish "$scratch/trust-policy.json" --envelope "$scratch/trust.dsse.json"
sh build-image.sh >/dev/null
commit 'hello: the first version'
run airlock whoami

chapter 'Build 1: from CI into an account that CI can only call three functions of'
run airlock manifest build --output build-1.json
run airlock manifest sign build-1.json --key awskms:///alias/builder --output build-1.dsse.json
run airlock publish build-1.json --envelope build-1.dsse.json
tell 'launch-deploy-job runs the worker as an ECS task with the role of the planner; what it does comes back by status.'
run airlock launch-deploy-job build-1.json --action plan --follow
job=$(airlock --quiet launch-deploy-job build-1.json --action plan --follow)
run airlock change open build-1.json --plan-job "$job"
run airlock change approve CHG-1 --key "$scratch/approver.pem" --comment 'the first deploy'
run airlock launch-deploy-job build-1.json --action apply --change CHG-1 --follow
quietly airlock change close CHG-1

chapter 'Build 2: the whole way, one command'
sed 's/greeting = "hello"/greeting = "hello again"/' airlock.toml >airlock.toml.new && mv airlock.toml.new airlock.toml
commit 'hello: greet again'
run airlock deploy --builder-key awskms:///alias/builder --approve-with "$scratch/approver.pem"
run airlock deployed
run airlock audit verify

chapter 'Two attacks'
tell '1. CI, whose credentials somebody has, looks into the bucket of production.'
refused 's3:GetObject' airlock manifest show hello#2 --store s3://production/airlock
tell '2. Somebody in CI replays build 1 over build 2.'
job=$(airlock --quiet launch-deploy-job build-1.json --action plan --follow)
quietly airlock change open build-1.json --plan-job "$job"
quietly airlock change approve CHG-3 --key "$scratch/approver.pem"
refused manifest.rollback airlock launch-deploy-job build-1.json --action apply --change CHG-3
