import { createPublicKey, generateKeyPair, randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { promisify } from "node:util";
import forge from "node-forge";
import type { KeyPair } from "./server-certificate.ts";

/** A certificate authority: its self-signed certificate and private key, both PEM. */
export type Authority = KeyPair;

interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const RSA_BITS = 2048;
const SAN_DNS = 2;
const SAN_IP = 7;

/** Makes a certificate authority with a new RSA key. */
export async function createAuthority(commonName: string, validity: Validity): Promise<Authority> {
  const keyPem = await newPrivateKeyPem();
  const subject = [{ name: "commonName", value: commonName }];
  const certificate = blankCertificate(keyPem, subject, validity);
  certificate.setIssuer(subject);
  certificate.setExtensions([
    { name: "basicConstraints", cA: true, critical: true },
    { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    { name: "subjectKeyIdentifier" },
  ]);
  return { cert: sign(certificate, keyPem), key: keyPem };
}

/**
 * Issues a serving certificate with a new RSA key.
 *
 * @param names DNS names and IP addresses it is for; the first becomes its common name.
 * @returns the leaf followed by the authority's certificate: IAM's thumbprint rule reads the last
 *   certificate that a server presents.
 */
export async function issueServingCertificate(
  authority: Authority,
  names: readonly [string, ...string[]],
  validity: Validity,
): Promise<KeyPair> {
  return issueLeaf(authority, validity, {
    subject: [{ name: "commonName", value: names[0] }],
    extensions: [
      { name: "extKeyUsage", serverAuth: true },
      {
        name: "subjectAltName",
        altNames: names.map((name) =>
          isIP(name) === 0 ? { type: SAN_DNS, value: name } : { type: SAN_IP, ip: name },
        ),
      },
    ],
  });
}

/**
 * Issues a client certificate with a new RSA key. To the Kubernetes API server its common name is the
 * user, and each organization is a group (kubernetes.io/docs/reference/access-authn-authz/authentication).
 */
export async function issueClientCertificate(
  authority: Authority,
  { commonName, organizations }: { commonName: string; organizations: readonly string[] },
  validity: Validity,
): Promise<KeyPair> {
  return issueLeaf(authority, validity, {
    subject: [
      ...organizations.map((value) => ({ name: "organizationName", value })),
      { name: "commonName", value: commonName },
    ],
    extensions: [{ name: "extKeyUsage", clientAuth: true }],
  });
}

async function issueLeaf(
  authority: Authority,
  validity: Validity,
  { subject, extensions }: { subject: forge.pki.CertificateField[]; extensions: readonly object[] },
): Promise<KeyPair> {
  const issuer = forge.pki.certificateFromPem(authority.cert);
  const keyPem = await newPrivateKeyPem();
  const certificate = blankCertificate(keyPem, subject, validity);
  certificate.setIssuer(issuer.subject.attributes);
  certificate.setExtensions([
    { name: "basicConstraints", cA: false, critical: true },
    { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
    ...extensions,
    { name: "subjectKeyIdentifier" },
    {
      name: "authorityKeyIdentifier",
      keyIdentifier: issuer.generateSubjectKeyIdentifier().getBytes(),
    },
  ]);
  return { cert: `${sign(certificate, authority.key)}${authority.cert}`, key: keyPem };
}

function blankCertificate(
  keyPem: string,
  subject: forge.pki.CertificateField[],
  { notBeforeMs, notAfterMs }: Validity,
): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  const publicPem = createPublicKey(keyPem).export({ type: "spki", format: "pem" });
  certificate.publicKey = forge.pki.publicKeyFromPem(publicPem.toString());
  certificate.serialNumber = positiveSerialNumber();
  certificate.validity.notBefore = new Date(notBeforeMs);
  certificate.validity.notAfter = new Date(notAfterMs);
  certificate.setSubject(subject);
  return certificate;
}

function sign(certificate: forge.pki.Certificate, signerKeyPem: string): string {
  certificate.sign(forge.pki.privateKeyFromPem(signerKeyPem), forge.md.sha256.create());
  return forge.pki.certificateToPem(certificate).replaceAll("\r\n", "\n");
}

// RFC 5280 section 4.1.2.2: a positive integer of at most 20 octets, so its first bit is 0.
function positiveSerialNumber(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x3f) | 0x40, 0);
  return bytes.toString("hex");
}

async function newPrivateKeyPem(): Promise<string> {
  // PKCS#1, since node-forge reads no other private key without re-encoding.
  const { privateKey } = await promisify(generateKeyPair)("rsa", {
    modulusLength: RSA_BITS,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
  return privateKey;
}
