import { loadConfig } from "../config/load-config.ts";

/** `--server HOST:PORT`, or server.api of the configuration. */
export async function serverAddress(values: { server?: string | undefined; config: string }): Promise<string> {
  if (values.server !== undefined) return values.server;
  const { host, port } = (await loadConfig(values.config)).server.api;
  return `${host}:${port}`;
}
