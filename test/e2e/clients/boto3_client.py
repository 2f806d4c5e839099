"""Says who it is, with boto3's default credential chain."""

import json

import boto3

identity = boto3.client("sts").get_caller_identity()
print(json.dumps({"arn": identity["Arn"]}))
