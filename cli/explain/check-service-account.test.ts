import { describe } from "node:test";
import {
  account,
  bare,
  FORBIDDEN,
  found,
  itSays,
  MISSING,
  namespaceWith,
  ROLE,
  ROLE_KEY,
  served,
} from "../../test/fakes/fine-pod.ts";

const ENTRY = {
  key: "team/reader",
  roleArn: ROLE,
  audience: undefined,
  expirationSeconds: undefined,
  regionalSts: undefined,
};

describe("explainPod", () => {
  itSays([
    ["ServiceAccount", {}, "service-account", "ok", /team\/reader/],
    [
      "ServiceAccount that is gone",
      { pod: bare(), serviceAccount: MISSING },
      "service-account",
      "problem",
      /deleted since.*kubectl create serviceaccount reader -n team/,
    ],
    [
      "no ServiceAccount",
      { pod: bare({ spec: { serviceAccountName: "" } }), serviceAccount: MISSING },
      "service-account",
      "problem",
      /names none/,
    ],
    ["ServiceAccount unread", { serviceAccount: FORBIDDEN }, "service-account", "unknown", /right/],
    ["annotation", {}, "annotation", "ok", /role-arn=arn:aws:iam::111122223333:role\/reader/],
    [
      "no annotation",
      { pod: bare(), serviceAccount: account({}) },
      "annotation",
      "problem",
      /Nobody asks for an AWS role.*kubectl annotate serviceaccount reader -n team/,
    ],
    [
      "empty annotation",
      { pod: bare(), serviceAccount: account({ [ROLE_KEY]: "" }) },
      "annotation",
      "problem",
      /is empty/,
    ],
    [
      "misspelt annotation",
      { pod: bare(), serviceAccount: account({ "eks.amazon.com/role-arn": ROLE }) },
      "annotation",
      "problem",
      /eks\.amazon\.com\/role-arn is not read: write eks\.amazonaws\.com\/role-arn/,
    ],
    [
      "role of the namespace instead",
      {
        serviceAccount: account({}),
        namespaceObject: namespaceWith(
          { "irsa-anywhere.io/injection": "enabled" },
          { "irsa-anywhere.io/default-role": ROLE },
        ),
      },
      "annotation",
      "ok",
      /from: namespace/,
    ],
    [
      "role of the ConfigMap instead",
      { serviceAccount: account({}), configMapEntry: found(ENTRY) },
      "annotation",
      "ok",
      /no eks\.amazonaws\.com\/role-arn; arn:.* from: config-map/,
    ],
    [
      "no annotation, and no ConfigMap",
      { pod: bare(), serviceAccount: account({}), configMapEntry: MISSING },
      "annotation",
      "problem",
      /Nobody asks/,
    ],
    [
      "no annotation, and a ConfigMap that may not be read",
      { pod: bare(), serviceAccount: account({}), configMapEntry: FORBIDDEN },
      "annotation",
      "unknown",
      /may not read the ConfigMap/,
    ],
    [
      "role that is no ARN, carried as it is",
      { pod: served({}, "reader"), serviceAccount: account({ [ROLE_KEY]: "reader" }) },
      "annotation",
      "problem",
      /role\/reader/,
    ],
    [
      "role that the namespace does not allow",
      {
        pod: bare(),
        namespaceObject: namespaceWith(
          { "irsa-anywhere.io/injection": "enabled" },
          { "irsa-anywhere.io/allowed-roles": "[]" },
        ),
      },
      "annotation",
      "problem",
      /allowed-roles.*kubectl get namespace team/,
    ],
    [
      "another annotation with a mistake",
      {
        serviceAccount: account({ [ROLE_KEY]: ROLE, "eks.amazonaws.com/token-expiration": "1d" }),
      },
      "annotation",
      "note",
      /1d/,
    ],
    ["annotation that was first", {}, "age", "ok", /annotation 2026-01-01T09:00:00Z/],
    [
      "annotation in the second of the pod",
      { pod: bare(), serviceAccount: account({ [ROLE_KEY]: ROLE }, "2026-01-01T10:00:00Z") },
      "age",
      "ok",
      /./,
    ],
    [
      "annotation a second after the pod",
      { pod: bare(), serviceAccount: account({ [ROLE_KEY]: ROLE }, "2026-01-01T10:00:01Z") },
      "age",
      "problem",
      /was there first.*kubectl delete pod web -n team/,
    ],
    [
      "annotation that was written again after the pod got it",
      { serviceAccount: account({ [ROLE_KEY]: ROLE }, "2026-01-02T10:00:00Z") },
      "age",
      "ok",
      /./,
    ],
    [
      "annotation without a time",
      { serviceAccount: account({ [ROLE_KEY]: ROLE }) },
      "age",
      "unknown",
      /no time/,
    ],
  ]);
});
