// Says who it is, again and again, with the AWS SDK for JavaScript v2 and the metadata service.
import STS from "aws-sdk/clients/sts.js";
import AWS from "aws-sdk/global.js";
import { repeat } from "./repeat.ts";

await repeat((endpoint) => {
  const chain = new AWS.CredentialProviderChain();
  let credentials: AWS.Credentials | undefined;
  return async () => {
    credentials ??= await chain.resolvePromise();
    const client = new STS({ endpoint, region: "eu-central-1", credentials });
    return (await client.getCallerIdentity().promise()).Arn;
  };
});
