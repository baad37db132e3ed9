import { Readable } from "node:stream";
import type { TestsStream } from "node:test";

interface Event {
  type: string;
  // biome-ignore lint/suspicious/noExplicitAny: the events of node:test, passed on as they are
  data: any;
}

/** The counts at the end of a run, as the reporters print them: `tests 42`. */
const COUNT = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) (\d+(?:\.\d+)?)$/;

/**
 * Runs of node:test one after the other, as one stream of events with one set of counts at its end.
 * @param onFail for every test that fails: a run by itself does not set the exit code
 */
export function mergedPhases(runs: readonly (() => TestsStream)[], onFail: () => void): Readable {
  async function* events(): AsyncGenerator<Event> {
    const counts = new Map<string, number>();
    for (const start of runs) {
      for await (const event of start() as AsyncIterable<Event>) {
        const { type, data } = event;
        if (type === "test:fail" && data.todo === undefined) onFail();
        const [, name, value] =
          type === "test:diagnostic" && data.nesting === 0 ? (COUNT.exec(data.message) ?? []) : [];
        if (name === undefined || data.file !== undefined) yield event;
        else counts.set(name, (counts.get(name) ?? 0) + Number(value));
      }
    }
    for (const [name, value] of counts)
      yield { type: "test:diagnostic", data: { nesting: 0, message: `${name} ${value}`, level: "info" } };
  }
  return Readable.from(events());
}
