import { join } from "node:path";
import { BallastError } from "../../common/errors.ts";
import { type Child, startPinned } from "../lib/child.ts";
import { ROOT } from "../lib/native-build.ts";

/** A part of the benchmark in a Node process of its own that is given one command at a time and answers each once. */
export interface Helper<Command, Report> {
  child: Child;
  ask<Kind extends string>(command: Command): Promise<Report & { say: Kind }>;
}

export function startHelper<Command extends object, Report extends { say: string }>(
  core: number,
  file: string,
  nodeFlags: readonly string[] = [],
): Helper<Command, Report> {
  const child = startPinned(core, process.execPath, [...nodeFlags, join(ROOT, "bench/propagation", file)], {
    stdio: ["ignore", "inherit", "pipe", "ipc"],
  });
  return {
    child,
    ask: <Kind extends string>(command: Command) =>
      new Promise<Report & { say: Kind }>((done, fail) => {
        const died = (): void => fail(new BallastError("INTERNAL", `${file} ended: ${child.complaint()}`));
        child.process.once("exit", died);
        child.process.once("message", (report: Report) => {
          child.process.off("exit", died);
          if (report.say === "failed") fail(new BallastError("INTERNAL", `${file}: ${JSON.stringify(report)}`));
          else done(report as Report & { say: Kind });
        });
        child.process.send(command);
      }),
  };
}
