import assert from "node:assert/strict";
import { after, afterEach, describe, it } from "node:test";
import { UpdateAssumeRolePolicyCommand } from "@aws-sdk/client-iam";
import { AssumeRoleCommand, GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { iamClient, stsClient } from "../../test/aws/fixtures/sdk-clients.ts";
import type { Transport } from "../../lib/kube/transport.ts";
import {
  startCredentialStage,
  TOKEN_VOLUME,
  type StagePod,
} from "../../test/fakes/credential-stage.ts";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import type { CredentialRequest, CredentialResult } from "./credentials.ts";
import { kubeletTokenSource } from "./kubelet-token.ts";
import type { ReadNodeCredentials } from "./node-credentials.ts";
import type { PodToken } from "./pod-token.ts";
import { requestedTokenSource } from "./requested-token.ts";
import type { CredentialsOptions, RunningCredentials } from "./start-credentials.ts";

// Signed calls, which set the stage and prove credentials, go by the system's clock.
const clock = createMovedClock(Math.floor(Date.now() / 1000) * 1000);
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const stage = resources.use(await startCredentialStage(clock));
afterEach(() => stage.aws.set({ faults: {} }));

const NODE_ROLE = "arn:aws:iam::111122223333:role/node";
const trustNode = (condition: object = {}): object => ({
  Effect: "Allow",
  Principal: { AWS: NODE_ROLE },
  Action: "sts:AssumeRole",
  Condition: condition,
});
const root = { AWS: "arn:aws:iam::111122223333:root" };
await stage.cluster.createRoleWith("node", [
  { Effect: "Allow", Principal: root, Action: "sts:AssumeRole" },
]);
/** As kube2iam's README has it: the node alone is trusted. */
const oldRole = await stage.cluster.createRoleWith("old", [{ ...trustNode() }]);
const withId = await stage.cluster.createRoleWith("with-id", [
  { ...trustNode({ StringEquals: { "sts:ExternalId": "good" } }) },
]);

/** The credentials of a node whose instance profile has the role `node`. */
const nodeCredentials: ReadNodeCredentials = async () => {
  const asking = new AssumeRoleCommand({ RoleArn: NODE_ROLE, RoleSessionName: "i-0abc" });
  const { Credentials } = await stsClient(stage.aws).send(asking);
  return {
    accessKeyId: Credentials?.AccessKeyId ?? "",
    secretAccessKey: Credentials?.SecretAccessKey ?? "",
    sessionToken: Credentials?.SessionToken,
  };
};

const start = (changes: Partial<CredentialsOptions> = {}): RunningCredentials =>
  stage.start({ patienceMs: 5000, nodeCredentials, ...changes });

async function wanted(role: Partial<CredentialRequest["role"]>): Promise<CredentialRequest> {
  return stage.wanted(await stage.readyPod(), { roleArn: oldRole, legacy: true, ...role });
}

/** Whose credentials they are by AWS's word and how they came, or why there are none. */
async function told(result: CredentialResult): Promise<string> {
  if (result.status === "failed") return `${result.kind} ${result.code}: ${result.message}`;
  const { accessKeyId, secretAccessKey, sessionToken, isByNode } = result.credentials;
  const sts = stsClient(stage.aws, { accessKeyId, secretAccessKey, sessionToken });
  const { Arn = "" } = await sts.send(new GetCallerIdentityCommand({}));
  return `${Arn.split(":").at(-1)}${isByNode === true ? " by the node" : ""}`;
}

const assumptions = (): number =>
  stage.aws.calls().filter(({ action, role }) => action === "AssumeRole" && role !== NODE_ROLE)
    .length;

const NONE: PodToken = { status: "missing", message: "none" };

const DENIAL = "Not authorized to perform sts:AssumeRoleWithWebIdentity";

describe("the node's rights for roles that do not trust the pod", () => {
  it("are of no use unless that is asked for", async () => {
    using credentials = start({ nodeCredentials: undefined });
    const before = assumptions();
    const result = await credentials.obtain(await wanted({}));
    assert.equal(await told(result), `refused AccessDenied: ${DENIAL}`);
    assert.equal(assumptions(), before);
  });

  it("stand in where STS denies web identity, with the session's name of the pod", async () => {
    using credentials = start();
    const request = await wanted({});
    const { namespace, podName } = request.caller;
    assert.equal(
      await told(await credentials.obtain(request)),
      `assumed-role/old/${namespace}.${podName} by the node`,
    );
    const named = await wanted({ sessionName: "kiam-team" });
    const result = await credentials.obtain(named);
    assert.equal(await told(result), "assumed-role/old/kiam-team by the node");
  });

  it("stand in where there is no token of the pod for the audience", async () => {
    using credentials = start();
    const bare = stage.newPod();
    const other = stage.newPod();
    await stage.writeToken(other, stage.tokenOf(other, { aud: ["https://kubernetes"] }));
    for (const pod of [bare, other]) {
      const request = stage.wanted(pod, { roleArn: oldRole, legacy: true, sessionName: "s1" });
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      const result = await credentials.obtain(request);
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      assert.equal(await told(result), "assumed-role/old/s1 by the node");
    }
  });

  it("stand in where the API server makes no tokens for this node", async () => {
    const refuse: Pick<Transport, "request"> = {
      request: async () => ({ status: 403, body: { kind: "Status" }, headers: {} }),
    };
    const asked = requestedTokenSource({ connection: refuse, timeoutMs: 1000 });
    using credentials = start({ tokenSources: [async () => NONE, asked] });
    const request = stage.wanted(stage.newPod(), { roleArn: oldRole, legacy: true });
    assert.match(await told(await credentials.obtain(request)), / by the node$/);
  });

  it("tell why there was no token where they give nothing either", async () => {
    using credentials = start();
    const request = stage.wanted(stage.newPod(), { roleArn: withId, legacy: true });
    assert.match(
      await told(await credentials.obtain(request)),
      /^refused AccessDenied: there is no token in kubelet's folder .*; nor by the node: User: /,
    );
  });

  it("are not asked without a token for a role that kube2iam or kiam would not have given", async () => {
    const before = assumptions();
    const role = { roleArn: oldRole, legacy: false };
    using credentials = start();
    const result = await credentials.obtain(stage.wanted(stage.newPod(), role));
    assert.match(await told(result), /^token-missing NoPodToken: /);
    using without = start({ nodeCredentials: undefined });
    const legacy = await without.obtain(stage.wanted(stage.newPod(), { ...role, legacy: true }));
    assert.match(await told(legacy), /^token-missing NoPodToken: /);
    assert.equal(assumptions(), before);
  });

  it("are not asked where nobody can say whether there is a token", async () => {
    const before = assumptions();
    using credentials = start({
      tokenSources: [async () => NONE, async () => ({ status: "unavailable", message: "away" })],
    });
    const request = stage.wanted(stage.newPod(), { roleArn: oldRole, legacy: true });
    assert.match(await told(await credentials.obtain(request)), /^unavailable NoPodToken: /);
    assert.equal(assumptions(), before);
  });

  for (const [name, claimsOf] of [
    ["another pod", (pod) => stage.tokenOf({ ...pod, podUid: "another" })],
    ["another ServiceAccount", (pod) => stage.tokenOf({ ...pod, serviceAccount: "other" })],
    ["an earlier ServiceAccount", (pod) => stage.tokenOf({ ...pod, serviceAccountUid: "before" })],
    ["nobody", () => "nonsense"],
  ] as const satisfies readonly (readonly [string, (pod: StagePod) => string])[]) {
    it(`are not asked where the token in the pod's place is of ${name}`, async () => {
      const before = assumptions();
      using credentials = start({
        tokenSources: [
          kubeletTokenSource({ kubeletRoot: stage.kubelet.root, ...TOKEN_VOLUME }),
          async () => NONE,
        ],
      });
      const pod = stage.newPod();
      await stage.writeToken(pod, claimsOf(pod));
      const request = stage.wanted(pod, { roleArn: oldRole, legacy: true });
      assert.match(await told(await credentials.obtain(request)), /^token-missing NoPodToken: /);
      assert.equal(assumptions(), before);
    });
  }

  for (const status of [400, 404, 409]) {
    it(`are not asked where the API server answers ${status}: it knows no such pod`, async () => {
      const before = assumptions();
      const connection = { request: async () => ({ status, body: {}, headers: {} }) };
      const asked = requestedTokenSource({ connection, timeoutMs: 1000 });
      using credentials = start({ tokenSources: [async () => NONE, asked] });
      const request = stage.wanted(stage.newPod(), { roleArn: oldRole, legacy: true });
      assert.match(await told(await credentials.obtain(request)), /^token-missing NoPodToken: /);
      assert.equal(assumptions(), before);
    });
  }

  it("show the external id of the pod", async () => {
    using credentials = start();
    const good = await credentials.obtain(
      await wanted({ roleArn: withId, externalId: "good", sessionName: "s1" }),
    );
    assert.equal(await told(good), "assumed-role/with-id/s1 by the node");
    for (const externalId of ["bad", undefined]) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      const bad = await credentials.obtain(await wanted({ roleArn: withId, externalId }));
      assert.match(
        // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
        await told(bad),
        /^refused AccessDenied: Not authorized .*; nor by the node: User: .* is not authorized/,
      );
    }
  });

  it("are not asked for a role that kube2iam or kiam would not have given", async () => {
    using credentials = start();
    const before = assumptions();
    for (const legacy of [false, undefined]) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      const result = await credentials.obtain(await wanted({ legacy }));
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      assert.equal(await told(result), `refused AccessDenied: ${DENIAL}`);
    }
    assert.equal(assumptions(), before);
  });

  it("are not asked while STS is down or throttles, nor where the token is no good", async () => {
    using credentials = start();
    const before = assumptions();
    for (const faults of [{ serverErrors: 1 }, { throttles: 1 }]) {
      stage.aws.set({ faults });
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      const result = await credentials.obtain(await wanted({}));
      assert.equal(result.status, "failed");
      assert.equal(assumptions(), before);
    }
    const elsewhere = await wanted({ roleArn: "arn:aws:iam::444455556666:role/old" });
    clock.advance(60_000);
    assert.match(
      await told(await credentials.obtain(elsewhere)),
      /^refused InvalidIdentityToken: /,
    );
    assert.equal(assumptions(), before);
  });

  it("are no longer used once the role trusts the pod", async () => {
    using credentials = start();
    const role = await stage.cluster.createRoleWith("moving", [{ ...trustNode() }]);
    const request = await wanted({ roleArn: role, sessionName: "s1" });
    assert.match(await told(await credentials.obtain(request)), / by the node$/);
    const both = [
      trustNode(),
      {
        Effect: "Allow",
        Principal: { Federated: stage.cluster.providerArn },
        Action: "sts:AssumeRoleWithWebIdentity",
      },
    ];
    const PolicyDocument = JSON.stringify({ Version: "2012-10-17", Statement: both });
    await iamClient(stage.aws).send(
      new UpdateAssumeRolePolicyCommand({ RoleName: "moving", PolicyDocument }),
    );
    credentials.forgetPod(request.caller.podUid);
    assert.equal(await told(await credentials.obtain(request)), "assumed-role/moving/s1");
  });
});
