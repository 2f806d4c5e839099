"""Says which key boto3's default chain finds, or what it says without one."""

import json
import time

import boto3

start = time.monotonic()
try:
    credentials = boto3.Session().get_credentials()
    if credentials is None:
        said = {"error": "NoCredentials: none found"}
    else:
        said = {"keyId": credentials.get_frozen_credentials().access_key}
except Exception as err:  # Whatever it is, is what the application sees.
    said = {"error": f"{type(err).__name__}: {err}"}
print(json.dumps({**said, "ms": (time.monotonic() - start) * 1000}))
