// A self-signed test certificate, X.509 built by hand (RFC 5280): Node generates keys but no
// certificates.
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

/** Valid for `host` only. */
export function selfSigned(host: string): { certificate: string; key: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  // ecdsa-with-SHA256
  const algorithm = sequence(object("2a8648ce3d040302"));
  const name = sequence(der(0x31, sequence(object("550403"), der(0x0c, Buffer.from(host)))));
  const dates = sequence(...["200101000000Z", "491231235959Z"].map((time) => der(0x17, Buffer.from(time))));
  const alternatives = der(0x04, sequence(der(0x82, Buffer.from(host))));
  const toBeSigned = sequence(
    // Version 3
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])),
    algorithm,
    name,
    dates,
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(sequence(object("551d11"), alternatives))),
  );
  const signature = der(0x03, Buffer.concat([Buffer.of(0), sign("sha256", toBeSigned, privateKey)]));
  const body = sequence(toBeSigned, algorithm, signature)
    .toString("base64")
    .replace(/.{64}(?=.)/g, "$&\n");
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
  };
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}

function sequence(...items: Buffer[]): Buffer {
  return der(0x30, Buffer.concat(items));
}

function object(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, "hex"));
}
