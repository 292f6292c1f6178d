#!/usr/bin/env python3
"""A function for the double's tests, over the Lambda Runtime API: does what its payload says."""

import json
import os
import signal
import sys
import time
import urllib.request

base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/"


def post(path, body):
    try:
        urllib.request.urlopen(urllib.request.Request(base + path, json.dumps(body).encode(), method="POST")).read()
    except urllib.error.HTTPError as error:
        print("refused", error.code, flush=True)


if os.environ["_HANDLER"] == "broken-init":
    post("init/error", {"errorType": "Extension.Config", "errorMessage": "no configuration"})
    sys.exit(3)
if os.environ["_HANDLER"] == "exits-at-once":
    sys.exit(4)

# What it was started with: Python adds to its own.
with open("/proc/self/environ") as given:
    environment = dict(pair.split("=", 1) for pair in given.read().split("\0") if pair)

count = 0
while True:
    with urllib.request.urlopen(base + "invocation/next") as answer:
        headers = answer.headers
        event = json.loads(answer.read())
    count += 1
    request = headers["Lambda-Runtime-Aws-Request-Id"]
    print("works", event.get("do"), flush=True)
    match event.get("do"):
        case "fail":
            post(f"invocation/{request}/error", {"errorType": "Permanent", "errorMessage": "as told"})
        case "sleep":
            time.sleep(event["seconds"])
            post(f"invocation/{request}/response", {"slept": event["seconds"], "pid": os.getpid()})
        case "exit":
            sys.exit(event["code"])
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "large":
            post(f"invocation/{request}/response", "x" * event["bytes"])
        case _:
            answer = {
                "event": event,
                "environment": environment,
                "headers": {name.lower(): value for name, value in headers.items()},
                "count": count,
                "now": int(time.time() * 1000),
            }
            post(f"invocation/{request}/response", answer)
