import { BallastError } from "../common/errors.ts";
import { buildFilter } from "./build-filter.ts";
import { fetchEnvoy } from "./fetch-envoy.ts";

/**
 * Runs before `npm test`: builds the filter and fetches Envoy. Without Envoy the tests that need it skip with a message; in CI, where
 * nobody would read that, the run fails instead.
 */
await buildFilter();
try {
  await fetchEnvoy({ onProgress: (text) => process.stderr.write(`${text}\n`) });
} catch (thrown) {
  if (!(thrown instanceof BallastError)) throw thrown;
  process.stderr.write(`${thrown.message}\n  ${thrown.hint}\n`);
  if (process.env.CI === undefined || process.env.CI === "") {
    process.stderr.write("The tests that need Envoy will be skipped.\n");
  } else {
    process.exitCode = 1;
  }
}
