// Says who it is, with the default credential chain of the AWS SDK for JavaScript v3.
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";

const identity = await new STSClient({}).send(new GetCallerIdentityCommand({}));
process.stdout.write(`${JSON.stringify({ arn: identity.Arn })}\n`);
