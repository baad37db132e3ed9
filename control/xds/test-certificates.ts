import { createSign, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";

/** X.509 certificates for tests and benchmarks, made on the spot: nothing to install, nothing that expires in the repository. RFC 5280. */
export interface TestCertificate {
  /** PEM. */
  cert: Buffer;
  key: Buffer;
}

export interface TestAuthority extends TestCertificate {
  /** A certificate for servers and clients with these subject alternative names: `DNS:…`, `URI:…` or `IP:a.b.c.d`. */
  issue(commonName: string, names: readonly string[]): TestCertificate;
}

const DAY_MS = 86_400_000;

/** A new certificate authority with a P-256 key. */
export function testAuthority(commonName = "test authority"): TestAuthority {
  const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issue = (subject: string, names: readonly string[], publicKey: KeyObject, isAuthority: boolean): Buffer => {
    const extensions = [
      extension([0x55, 0x1d, 0x13], true, der(0x30, isAuthority ? der(0x01, Buffer.from([0xff])) : Buffer.alloc(0))),
      ...(names.length === 0
        ? []
        : [extension([0x55, 0x1d, 0x11], false, der(0x30, Buffer.concat(names.map(alternativeName))))]),
    ];
    const serial = Buffer.concat([Buffer.from([0x01]), randomBytes(8)]);
    const body = der(
      0x30,
      der(0xa0, der(0x02, Buffer.from([2]))),
      der(0x02, serial),
      ECDSA_SHA256,
      distinguishedName(commonName),
      der(0x30, time(Date.now() - DAY_MS), time(Date.now() + 30 * DAY_MS)),
      distinguishedName(subject),
      publicKey.export({ type: "spki", format: "der" }),
      der(0xa3, der(0x30, ...extensions)),
    );
    const signature = createSign("sha256").update(body).sign(keys.privateKey);
    return pem("CERTIFICATE", der(0x30, body, ECDSA_SHA256, der(0x03, Buffer.from([0]), signature)));
  };
  const keyPem = (key: KeyObject): Buffer => Buffer.from(key.export({ type: "pkcs8", format: "pem" }));
  return {
    cert: issue(commonName, [], keys.publicKey, true),
    key: keyPem(keys.privateKey),
    issue: (subject, names) => {
      const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
      return { cert: issue(subject, names, own.publicKey, false), key: keyPem(own.privateKey) };
    },
  };
}

/** ecdsa-with-SHA256, 1.2.840.10045.4.3.2 */
const ECDSA_SHA256 = der(0x30, der(0x06, Buffer.from([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])));

/** Tag, length, contents. */
function der(tag: number, ...contents: Buffer[]): Buffer {
  const body = Buffer.concat(contents);
  const length: number[] = [];
  for (let rest = body.length; rest > 0; rest >>>= 8) length.unshift(rest & 0xff);
  const head = body.length < 0x80 ? [tag, body.length] : [tag, 0x80 | length.length, ...length];
  return Buffer.concat([Buffer.from(head), body]);
}

function distinguishedName(commonName: string): Buffer {
  const attribute = der(0x30, der(0x06, Buffer.from([0x55, 0x04, 0x03])), der(0x0c, Buffer.from(commonName)));
  return der(0x30, der(0x31, attribute));
}

/** GeneralizedTime would be refused before 2050 by strict readers; UTCTime has two digits of the year. */
function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replaceAll(/[-:T]/g, "").slice(2, 14);
  return der(0x17, Buffer.from(`${text}Z`, "latin1"));
}

function extension(id: readonly number[], critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [der(0x01, Buffer.from([0xff]))] : [];
  return der(0x30, der(0x06, Buffer.from(id)), ...flag, der(0x04, value));
}

function alternativeName(name: string): Buffer {
  const value = name.slice(name.indexOf(":") + 1);
  if (name.startsWith("DNS:")) return der(0x82, Buffer.from(value, "latin1"));
  if (name.startsWith("URI:")) return der(0x86, Buffer.from(value, "latin1"));
  if (name.startsWith("IP:")) return der(0x87, Buffer.from(value.split(".").map(Number)));
  throw new Error(`${name} is not DNS:, URI: or IP:`);
}

function pem(label: string, bytes: Buffer): Buffer {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return Buffer.from(`-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`);
}
