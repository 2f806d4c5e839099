/** Go's names of cipher suites up to TLS 1.2, and OpenSSL's; empty for those it no longer has. */
const SUITES: Readonly<Record<string, string>> = {
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: "ECDHE-ECDSA-AES128-SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: "ECDHE-ECDSA-AES128-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: "ECDHE-ECDSA-AES256-SHA",
  TLS_ECDHE_ECDSA_WITH_RC4_128_SHA: "",
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "ECDHE-RSA-AES128-GCM-SHA256",
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "ECDHE-RSA-AES256-GCM-SHA384",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: "ECDHE-RSA-AES128-SHA256",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: "ECDHE-RSA-AES128-SHA",
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: "ECDHE-RSA-AES256-SHA",
  TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA: "",
  TLS_ECDHE_RSA_WITH_RC4_128_SHA: "",
  TLS_RSA_WITH_AES_128_GCM_SHA256: "AES128-GCM-SHA256",
  TLS_RSA_WITH_AES_256_GCM_SHA384: "AES256-GCM-SHA384",
  TLS_RSA_WITH_AES_128_CBC_SHA256: "AES128-SHA256",
  TLS_RSA_WITH_AES_128_CBC_SHA: "AES128-SHA",
  TLS_RSA_WITH_AES_256_CBC_SHA: "AES256-SHA",
  TLS_RSA_WITH_3DES_EDE_CBC_SHA: "",
  TLS_RSA_WITH_RC4_128_SHA: "",
};

/** Those of TLS 1.3, which both call alike, and which Go always offers. */
const TLS13_SUITES = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
] as const;

/** The names in a list as Go's flags take it: comma-separated, trimmed, empty ones dropped. */
export function suiteNamesOf(list: string): readonly string[] {
  return list
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

/** Whether Go knows a suite of this name, also one that it calls insecure. */
export function isSuite(name: string): boolean {
  return Object.hasOwn(SUITES, name) || TLS13_SUITES.some((known) => known === name);
}

/** Suites of a list that cannot be served, since the TLS library has dropped them. */
export function droppedSuites(list: string): readonly string[] {
  return suiteNamesOf(list).filter((name) => SUITES[name] === "");
}

/**
 * Node's `ciphers` for a list of Go's names; undefined for an empty one, which leaves the choice to
 * Node. The suites of TLS 1.3 are always among them, as in Go.
 */
export function ciphersOf(list: string): string | undefined {
  const names = suiteNamesOf(list);
  if (names.length === 0) return undefined;
  const older = names.map((name) => SUITES[name] ?? "").filter((name) => name !== "");
  return [...TLS13_SUITES, ...older].join(":");
}
