import { readFile } from "node:fs/promises";
import { BallastError } from "../../common/errors.ts";
import type { TlsFiles, XdsTlsFiles } from "../config/access.ts";
import type { BallastConfig } from "../config/config.ts";
import type { XdsServerOptions } from "../xds/server.ts";
import { Doorkeeper, readTokenFile } from "./api-access.ts";

/** The files that say whom a server lets in: tokens, certificates, keys. */
export async function doorkeeperOf({ access }: BallastConfig): Promise<Doorkeeper> {
  const fromFile = access.tokenFile === null ? [] : await readTokenFile(access.tokenFile);
  return new Doorkeeper({ tokens: [...access.tokens, ...fromFile], identities: access.identities });
}

interface TlsPems {
  cert: Buffer;
  key: Buffer;
  clientCa: Buffer | null;
}

export async function xdsTls(files: XdsTlsFiles): Promise<NonNullable<XdsServerOptions["tls"]>> {
  const { clientCa, ...pems } = await readTlsFiles("xdsTls", files);
  if (clientCa === null) return pems;
  return { ...pems, clientCa, ...(files.identities === null ? {} : { identities: files.identities }) };
}

export async function readTlsFiles(field: string, files: TlsFiles): Promise<TlsPems> {
  try {
    const [cert, key, clientCa] = await Promise.all([
      readFile(files.cert),
      readFile(files.key),
      files.clientCa === null ? null : readFile(files.clientCa),
    ]);
    return { cert, key, clientCa };
  } catch (cause) {
    throw new BallastError("CONFIG_UNREADABLE", `server.${field}: ${(cause as Error).message}`, { cause });
  }
}
