// Says which key the default chain of the AWS SDK for JavaScript v3 finds, or what it says without one.
import { STSClient } from "@aws-sdk/client-sts";

const startMs = performance.now();
let said: object;
try {
  const { accessKeyId } = await new STSClient({}).config.credentials();
  said = { keyId: accessKeyId };
} catch (err) {
  said = { error: err instanceof Error ? `${err.name}: ${err.message}` : String(err) };
}
process.stdout.write(`${JSON.stringify({ ...said, ms: performance.now() - startMs })}\n`);
