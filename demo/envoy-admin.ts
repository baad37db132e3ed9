/** The two things the demo asks Envoy's admin endpoint itself; telemetry is the control server's business. */
const TIMEOUT_MS = 2000;

/** True when Envoy's listeners serve. */
export async function envoyReady(adminPort: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${adminPort}/ready`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

/** Retries that Envoy made towards `clusters` since it started; null when the endpoint does not answer. */
export async function countRetries(adminPort: number, clusters: ReadonlySet<string>): Promise<number | null> {
  try {
    const url = `http://127.0.0.1:${adminPort}/stats?filter=upstream_rq_retry$&format=json`;
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    const { stats } = (await response.json()) as { stats: { name?: string; value?: number }[] };
    let retries = 0;
    for (const { name, value } of stats) {
      const cluster = name === undefined ? undefined : /^cluster\.(.+)\.upstream_rq_retry$/.exec(name)?.[1];
      if (cluster !== undefined && clusters.has(cluster)) retries += value ?? 0;
    }
    return retries;
  } catch {
    return null;
  }
}
