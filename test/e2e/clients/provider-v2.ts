// Says which key the default chain of the AWS SDK for JavaScript v2 finds, or what it says without one.
import aws from "aws-sdk";

const startMs = performance.now();
let said: object;
try {
  const { accessKeyId } = await new aws.CredentialProviderChain().resolvePromise();
  said = { keyId: accessKeyId };
} catch (err) {
  said = { error: err instanceof Error ? `${err.name}: ${err.message}` : String(err) };
}
process.stdout.write(`${JSON.stringify({ ...said, ms: performance.now() - startMs })}\n`);
