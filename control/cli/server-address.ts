import { loadConfig } from "../config/load-config.ts";

/** `--server HOST:PORT` or `https://HOST:PORT`, or server.api of the configuration. */
export async function serverAddress(values: { server?: string | undefined; config: string }): Promise<string> {
  if (values.server !== undefined) return values.server;
  const { api, apiTls } = (await loadConfig(values.config)).server;
  const host = api.host.includes(":") ? `[${api.host}]` : api.host;
  return `${apiTls === null ? "http" : "https"}://${host}:${api.port}`;
}
