// Says who it is, with the default credential chain of the AWS SDK for JavaScript v2.
import aws from "aws-sdk";

// v2 does not know AWS_ENDPOINT_URL_STS.
aws.config.update({ sts: { endpoint: process.env["AWS_ENDPOINT_URL_STS"] ?? "" } });
const identity = await new aws.STS().getCallerIdentity().promise();
process.stdout.write(`${JSON.stringify({ arn: identity.Arn })}\n`);
