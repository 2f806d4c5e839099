import assert from "node:assert/strict";
import { describe, it } from "node:test";
import pico from "picocolors";
import { renderExplanation } from "./render-explanation.ts";

const plain = pico.createColors(false);

describe("renderExplanation", () => {
  it("writes a line for each step, what it means, and what to do", () => {
    const text = renderExplanation(
      {
        pod: "team/app",
        fine: false,
        verdict: "Pod team/app has no working AWS identity: Tier: none.",
        next: "kubectl get pods",
        steps: [
          { id: "namespace-label", status: "ok", found: "a" },
          {
            id: "tier",
            status: "problem",
            found: "none",
            meaning: "Why.",
            next: "kubectl get pods",
          },
        ],
      },
      plain,
    );
    assert.equal(
      text,
      "✔ 1. Namespace label: a\n" +
        "✘ 2. Tier: none\n    Why.\n    $ kubectl get pods\n\n" +
        "✘ Pod team/app has no working AWS identity: Tier: none.\n  Next: kubectl get pods\n",
    );
  });

  it("keeps what others wrote on its line, and away from the terminal", () => {
    const hostile = "a\u001b[2J\nb\r\u009bc\u007f\ttäb";
    const text = renderExplanation(
      {
        pod: "team/app",
        fine: false,
        verdict: `Pod ${hostile}`,
        next: hostile,
        steps: [
          { id: "environment", status: "problem", found: hostile, meaning: hostile, next: hostile },
        ],
      },
      plain,
    );
    const shown = "a\\u001b[2J\\u000ab\\u000d\\u009bc\\u007f\\u0009täb";
    assert.equal(
      text,
      `✘ 1. Injected variables: ${shown}\n    ${shown}\n    $ ${shown}\n\n✘ Pod ${shown}\n  Next: ${shown}\n`,
    );
  });
});
