#!/usr/bin/env python3
"""get-deploy-job-status of another version: whatever it is asked, over the Lambda Runtime API, it says $ANSWER."""

import os
import urllib.request

base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(base + "next") as asked:
        request = asked.headers["Lambda-Runtime-Aws-Request-Id"]
        asked.read()
    answer = os.environ["ANSWER"].encode()
    urllib.request.urlopen(urllib.request.Request(f"{base}{request}/response", answer, method="POST")).read()
