import { relative } from "node:path";
import { Readable } from "node:stream";
import type { TestsStream } from "node:test";
import { inspect } from "node:util";

interface Event {
  type: string;
  // biome-ignore lint/suspicious/noExplicitAny: the events of node:test, passed on as they are
  data: any;
}

export interface Phase {
  start: () => TestsStream;
  /** Run again, once, where a test fails: only the second try counts, and the first one's failures are printed. */
  secondTry: boolean;
}

/** The counts at the end of a run, as the reporters print them: `tests 42`. */
const COUNT = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) (\d+(?:\.\d+)?)$/;
/** Most characters printed of what failed at a first try. */
const MAX_FAILURE_CHARS = 4_000;

/**
 * Runs of node:test one after the other, as one stream of events with one set of counts at its end. Above the counts stands each
 * test that failed at a first try, also where the second one passed.
 * @param onFail for every test that fails: a run by itself does not set the exit code
 */
export function mergedPhases(phases: readonly Phase[], onFail: () => void): Readable {
  async function* events(): AsyncGenerator<Event> {
    const counts = new Map<string, number>();
    const firstFailures: string[] = [];
    for (const { start, secondTry } of phases) {
      for await (const event of secondTry ? lastTry(start, firstFailures) : started(start)) {
        const { type, data } = event;
        if (isFailure(event)) onFail();
        const [, name, value] =
          type === "test:diagnostic" && data.nesting === 0 ? (COUNT.exec(data.message) ?? []) : [];
        if (name === undefined || data.file !== undefined) yield event;
        else counts.set(name, (counts.get(name) ?? 0) + Number(value));
      }
    }
    for (const text of firstFailures) yield diagnostic(`failed at the first try: ${text}`, "warn");
    for (const [name, value] of counts) yield diagnostic(`${name} ${value}`, "info");
  }
  return Readable.from(events());
}

/** The events of a phase's last try. The first one's are kept until it ends, since a failure may come last. */
async function* lastTry(start: () => TestsStream, firstFailures: string[]): AsyncGenerator<Event> {
  const first: Event[] = [];
  for await (const event of started(start)) first.push(event);
  const failures = first.filter(
    (event) => isFailure(event) && event.data.details?.error?.failureType !== "subtestsFailed",
  );
  if (failures.length === 0) {
    yield* first;
    return;
  }
  for (const { data } of failures) {
    const name = `${relative(process.cwd(), data.file ?? "")}: ${data.name}`;
    firstFailures.push(name);
    const why = inspect(data.details?.error?.cause ?? data.details?.error).slice(0, MAX_FAILURE_CHARS);
    yield diagnostic(`${name} failed and is tried again\n${why}`, "warn");
  }
  yield* started(start);
}

function started(start: () => TestsStream): AsyncIterable<Event> {
  return start() as AsyncIterable<Event>;
}

function isFailure({ type, data }: Event): boolean {
  return type === "test:fail" && data.todo === undefined;
}

function diagnostic(message: string, level: "info" | "warn"): Event {
  return { type: "test:diagnostic", data: { nesting: 0, message, level } };
}
