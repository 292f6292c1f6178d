"""Plays a provider that wants more than the session it is given: looks into the worker, asks its endpoint in wrong ways,
then calls AWS with what the right way gives. Writes what came of each as JSON.

thief.py WORKER REPORT PAUSE: the worker's process id, where the report goes, and how many seconds later it asks again.
"""

import ctypes
import json
import os
import sys
import time
import urllib.error
import urllib.request

import boto3
import botocore.config
import botocore.exceptions

worker, report, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])
# Unlike attaching, it does not stop the worker if it succeeds (ptrace(2)).
PTRACE_SEIZE = 0x4206


def tried(attempt):
    try:
        return attempt()
    except OSError as error:
        return error.strerror


def attach():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(PTRACE_SEIZE, int(worker), None, None) == 0:
        return "attached"
    return os.strerror(ctypes.get_errno())


def read_some(name):
    with open(f"/proc/{worker}/{name}", "rb") as file:
        return f"read {len(file.read(64))} bytes"


def ask(method, path, token):
    request = urllib.request.Request(endpoint.rsplit("/", 1)[0] + path, method=method)
    if token is not None:
        request.add_header("Authorization", token)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def call(service, operation, session=None, **parameters):
    config = botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    keys = {"region_name": os.environ["AWS_REGION"]}
    if session:
        keys["aws_access_key_id"] = session["AccessKeyId"]
        keys["aws_secret_access_key"] = session["SecretAccessKey"]
        keys["aws_session_token"] = session["Token"]
    try:
        answer = getattr(boto3.client(service, config=config, **keys), operation)(**parameters)
        return answer.get("Arn", "done")
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]


endpoint, token = os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
found = {
    "looked": {name: tried(lambda: read_some(name)) for name in ["environ", "mem", "maps", "auxv", "fd/0"]}
    | {"cwd": tried(lambda: os.readlink(f"/proc/{worker}/cwd")), "ptrace": attach()},
    "environment": sorted(name for name in os.environ if name.startswith("AWS")),
    "asked": [
        ask("GET", "/credentials", None),
        ask("GET", "/credentials", "0" * 64),
        ask("GET", "/", token),
        ask("POST", "/credentials", token),
    ],
}
status, body = ask("GET", "/credentials", token)
session = json.loads(body)
put = {"Bucket": "production", "Key": "airlock/environments/production/hello/lease.json", "Body": b"{}"}
sign = {"KeyId": "alias/planner", "Message": b"x", "MessageType": "RAW", "SigningAlgorithm": "ED25519_SHA_512"}
take_on = {"RoleArn": "arn:aws:iam::222222222222:role/planner", "RoleSessionName": "thief"}
found |= {
    "status": status,
    "fields": sorted(session),
    "called": {
        "sts:GetCallerIdentity": call("sts", "get_caller_identity"),
        "kms:Sign": call("kms", "sign", **sign),
        "kms:GetPublicKey": call("kms", "get_public_key", KeyId="alias/planner"),
        "s3:PutObject": call("s3", "put_object", **put),
        "s3:GetObject": call("s3", "get_object", Bucket="production", Key="secret"),
        "sts:AssumeRole": call("sts", "assume_role", **take_on),
    },
}
time.sleep(pause)
renewed = json.loads(ask("GET", "/credentials", token)[1])
found["later"] = [call("sts", "get_caller_identity", keys) for keys in (session, renewed)]
with open(report, "w") as file:
    json.dump(found, file)
