import { after, before, describe } from "node:test";
import { hasPython } from "../python-environment.ts";
import {
  missingProductParts,
  startProductCluster,
  type ProductCluster,
} from "./product-cluster.ts";
import { itNeverOpenedTheDoor, itShutsTheDoor } from "./shim/closed-door.ts";
import { itGivesContainerCredentials } from "./shim/container-credentials.ts";
import { itSpeaksIpv6 } from "./shim/credentials-by-ipv6.ts";
import { itGivesPodsTheirRole } from "./shim/credentials-of-pods.ts";
import { itLeavesItsRules, itTakesItsRulesAway } from "./shim/end-of-rules.ts";
import { itKnowsForeignAddresses } from "./shim/foreign-addresses.ts";
import { installShim, type InstalledShim } from "./shim/installed-shim.ts";
import { itReplacesLegacyAgents } from "./shim/replaced-agents.ts";
import { repeatingSdks } from "./shim/repeating-sdks.ts";
import { itComesBack } from "./shim/restarts.ts";
import { itHasFewCapabilities, itHasNoRightTooMany } from "./shim/rights.ts";

// The shim as the chart installs it, on a node with a bridge and on one with routed links (ptp), each with
// a metadata service behind it that gives the node's role to whoever reaches it. The numbers N1 to N17 are
// those of test/e2e/shim-rules.test.ts.

const skip = (await missingProductParts(process.env)) ?? false;
const skipPython = !(await hasPython()) && "needs Python 3 with venv";
const sdks = repeatingSdks(skipPython);

const cleanUp = new AsyncDisposableStack();
let product: ProductCluster;
before(async () => {
  if (skip !== false) return;
  product = cleanUp.use(
    await startProductCluster({
      nodes: 2,
      cni: ["bridge", "ptp"],
      ipv6: true,
      auditLog: true,
      iptables: true,
    }),
  );
});
after(() => cleanUp.disposeAsync());

describe("the shim on a node", { skip }, () => {
  let installed: InstalledShim;
  before(async () => {
    if (skip === false) installed = await installShim(product, sdks);
  });
  const shim = (): InstalledShim => installed;

  // In this order: each finds what those before have left.
  itShutsTheDoor(shim);
  itGivesPodsTheirRole(shim, sdks);
  itSpeaksIpv6(shim);
  itGivesContainerCredentials(shim, skipPython);
  itHasFewCapabilities(shim);
  itComesBack(shim, sdks);
  itKnowsForeignAddresses(shim, skipPython);
  itHasNoRightTooMany(shim);
  itLeavesItsRules(shim);
  itReplacesLegacyAgents(shim);
  itNeverOpenedTheDoor(shim);
  itTakesItsRulesAway(shim);
});
