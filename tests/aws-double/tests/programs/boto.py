"""Makes the calls that it reads from standard input, one JSON object a line, with boto3; answers each with a line."""

import base64
import concurrent.futures
import datetime
import json
import sys

import boto3
import botocore.config
import botocore.exceptions

clients = {}


def client(service):
    if service not in clients:
        config = botocore.config.Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            max_pool_connections=64,
            read_timeout=60,
        )
        clients[service] = boto3.client(service, config=config)
    return clients[service]


def plain(value):
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if key != "ResponseMetadata"}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if hasattr(value, "read"):
        return value.read().decode()
    return value


def call(asked):
    operation = getattr(client(asked["service"]), asked["operation"])
    try:
        return plain(operation(**asked["parameters"]))
    except botocore.exceptions.ClientError as error:
        told = error.response["Error"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        more = {key: plain(value) for key, value in error.response.items() if key not in ("Error", "ResponseMetadata")}
        return {"error": told["Code"], "message": told["Message"], "status": status, "more": more}
    except botocore.exceptions.HTTPClientError as error:
        return {"error": type(error).__name__}
    except botocore.exceptions.BotoCoreError as error:
        return {"error": type(error).__name__}


for line in sys.stdin:
    asked = json.loads(line)
    times = asked.get("times", 1)
    client(asked["service"])
    with concurrent.futures.ThreadPoolExecutor(times) as pool:
        answers = list(pool.map(call, [asked] * times))
    print(json.dumps(answers), flush=True)
