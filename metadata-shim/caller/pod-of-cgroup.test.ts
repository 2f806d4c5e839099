import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { podUidOfCgroup } from "./pod-of-cgroup.ts";

const UID = "0f3c2a51-9b7e-4d2c-8a11-2f6c0a9d7e55";
const OTHER = "11111111-2222-3333-4444-555555555555";
const SLICE = `kubepods-burstable-pod${UID.replaceAll("-", "_")}.slice`;

describe("podUidOfCgroup", () => {
  const cases: readonly (readonly [name: string, text: string, uid: string | undefined])[] = [
    ["cgroupfs, version 1", `12:memory:/kubepods/burstable/pod${UID}/abc\n1:name=x:/\n`, UID],
    ["cgroupfs, guaranteed", `0::/kubepods/pod${UID}/abc\n`, UID],
    [
      "systemd",
      `0::/kubepods.slice/kubepods-burstable.slice/${SLICE}/cri-containerd-a.scope\n`,
      UID,
    ],
    [
      "systemd, guaranteed",
      `0::/kubepods.slice/kubepods-pod${UID.replaceAll("-", "_")}.slice/crio-a.scope\n`,
      UID,
    ],
    [
      "systemd, below the root that kubelet was given",
      `0::/kubelet.slice/kubelet-kubepods.slice/kubelet-${SLICE}/cri-containerd-a.scope\n`,
      UID,
    ],
    [
      "a name that the pod made itself below such a root",
      `0::/kubelet.slice/kubelet-${SLICE}/cri-containerd-a.scope/pod${OTHER}\n`,
      UID,
    ],
    ["seen from a cgroup namespace", `0::/../../${SLICE}/cri-containerd-a.scope\n`, UID],
    ["below another folder", `0::/kubelet/kubepods/pod${UID}/abc\n`, UID],
    ["a static pod", `0::/kubepods/pod${"ab".repeat(16)}/abc\n`, "ab".repeat(16)],
    ["a name that the pod made itself", `0::/kubepods/pod${UID}/abc/pod${OTHER}\n`, UID],
    ["a process of the machine", "0::/system.slice/containerd.service\n", undefined],
    ["a kernel thread", "0::/\n", undefined],
    ["a folder that only looks like it", `0::/user.slice/mypod${UID}\n`, undefined],
    ["nothing", "", undefined],
  ];
  for (const [name, text, uid] of cases) {
    it(`of ${name} is ${uid}`, () => assert.equal(podUidOfCgroup(text), uid));
  }
});
