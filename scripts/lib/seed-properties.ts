import { resolve } from "node:path";
import { isMainThread } from "node:worker_threads";
import { propertySeed } from "./property-seed.ts";

// Loaded before a test file, so that its properties take the seed of the run. Its worker threads load this as well, and leave it at that.
if (isMainThread) {
  const { default: fc } = await import("fast-check");
  fc.configureGlobal({ seed: propertySeed(resolve(import.meta.dirname, "../.."), process.env).seed });
}
