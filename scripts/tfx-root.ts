/**
 * Makes the training environment (see models/tfx/README.md) and runs commands in it.
 *
 *     node scripts/tfx-root.ts make              make it, or say that it is there
 *     node scripts/tfx-root.ts run -- CMD …      make it if need be, then run CMD in it (`python` is the pipeline's)
 */
import { BallastError } from "../common/errors.ts";
import { makeTrainingEnvironment, runTraining } from "../models/tfx/environment.ts";

async function main(args: readonly string[]): Promise<number> {
  const [command, separator, ...argv] = args;
  if (command === "make" && args.length === 1) {
    const environment = await makeTrainingEnvironment();
    process.stdout.write(`${environment.python}${environment.root === undefined ? "" : ` in ${environment.root}`}\n`);
    return 0;
  }
  if (command === "run" && separator === "--" && argv.length > 0) {
    const environment = await makeTrainingEnvironment();
    const data = process.env.BALLAST_SHARED_DATA;
    const resolved = argv[0] === "python" ? [environment.python, ...argv.slice(1)] : argv;
    return await runTraining(environment, resolved, data === undefined ? {} : { binds: [data] });
  }
  throw new BallastError("USAGE", "expected `make` or `run -- COMMAND …`");
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof BallastError)) throw error;
  process.stderr.write(`${error.message}\n${error.hint}\n`);
  process.exitCode = 1;
}
