"""Says who it is, again and again, with boto3 and the metadata service; see repeat.ts."""

import json
import os
import time

STS_URL = os.environ["AWS_ENDPOINT_URL_STS"]
AUTHORITIES = os.environ["AWS_CA_BUNDLE"]
for name in list(os.environ):
    if name.startswith("AWS_"):
        del os.environ[name]

import boto3  # noqa: E402 (reads the environment)


def new_client():
    session = boto3.session.Session(region_name="eu-central-1")
    return session.client("sts", endpoint_url=STS_URL, verify=AUTHORITIES)


def say(client, identity):
    try:
        outcome = {"arn": identity()["Arn"]}
    except Exception as err:
        outcome = {"problem": repr(err)}
    print(json.dumps({"client": client, **outcome}, separators=(",", ":")), flush=True)
    return "arn" in outcome


kept = None
while True:
    # It looks for credentials when it is made. A program that finds none ends, and is started again.
    client = kept or new_client()
    if say("kept", client.get_caller_identity):
        kept = client
    say("new", lambda: new_client().get_caller_identity())
    time.sleep(2)
