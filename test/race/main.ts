import { module } from "../host/fixtures.ts";
import { rangeFromEnv, runSeeds } from "./seeds.ts";

// For long runs, without the test runner's limit on time.
const { first, seeds, happened } = await runSeeds(module, rangeFromEnv(60));
process.stdout.write(`${seeds} seeds from ${first} on: ${JSON.stringify(happened)}\n`);
