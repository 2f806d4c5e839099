// Says who it is, again and again, with the AWS SDK for JavaScript v3 and the metadata service.
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { repeat } from "./repeat.ts";

await repeat((endpoint) => {
  const client = new STSClient({ endpoint, region: "eu-central-1" });
  return async () => (await client.send(new GetCallerIdentityCommand({}))).Arn;
});
