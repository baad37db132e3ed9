import { BallastError } from "../common/errors.ts";
import { buildFilter } from "./build-filter.ts";
import { fetchEnvoy } from "./fetch-envoy.ts";
import { fetchNats } from "./fetch-nats.ts";
import { fetchPrometheus } from "./fetch-prometheus.ts";
import { inCi } from "./lib/in-ci.ts";

/**
 * Runs before `npm test`: builds the filter and fetches Envoy, nats-server and Prometheus. Without one of them the tests that need it skip with a
 * message; in CI, where nobody would read that, the run fails instead.
 */
await buildFilter();
const onProgress = (text: string) => process.stderr.write(`${text}\n`);
await unlessMissing("Envoy", () => fetchEnvoy({ onProgress }));
await unlessMissing("nats-server", () => fetchNats({ onProgress }));
await unlessMissing("Prometheus", () => fetchPrometheus({ onProgress }));

async function unlessMissing(what: string, fetch: () => Promise<string>): Promise<void> {
  try {
    await fetch();
  } catch (thrown) {
    if (!(thrown instanceof BallastError)) throw thrown;
    process.stderr.write(`${thrown.message}\n  ${thrown.hint}\n`);
    if (inCi(process.env)) process.exitCode = 1;
    else process.stderr.write(`The tests that need ${what} will be skipped.\n`);
  }
}
