import { Fleet, type FleetStream } from "./fleet.ts";
import { epochOf, type ResourceKind } from "./resources.ts";
import type { RoundOutcome } from "./round.ts";

/** A fleet on a clock that stands still until told otherwise, with everything it did written down. */
export function rig(maxNodes = 4) {
  let nowMs = 0;
  const outcomes: RoundOutcome[] = [];
  const closed: string[] = [];
  const warnings: string[] = [];
  const fleet = new Fleet<string>({
    fleet: "demo",
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    maxNodes,
    maxNames: 8,
    effects: {
      wake: () => {},
      close: (stream, code, reason) => closed.push(`${stream.handle}: ${code}, ${reason}`),
      roundEnded: (outcome) => outcomes.push(outcome),
      behind: (error) => warnings.push(error.message),
      warn: (stream, text) => warnings.push(`${stream.handle}: ${text}`),
      quarantined: ({ id }, epoch, reason) => warnings.push(`${id}: quarantined in ${epoch}: ${reason}`),
    },
  });
  let streams = 0;
  const request = (versionInfo = "", responseNonce = "", resourceNames = ["demo"], error?: string) => ({
    versionInfo,
    responseNonce,
    resourceNames,
    error,
  });
  return {
    fleet,
    outcomes,
    closed,
    warnings,
    request,
    pass(ms: number) {
      nowMs += ms;
      fleet.expire();
    },
    join(id: string, held: { stage?: string; activation?: string } = {}, instance = "1"): FleetStream<string> {
      const stream = fleet.open(`${id}#${++streams}`);
      fleet.identify(stream, { id, instance, moduleVersion: "0.1.0" });
      fleet.receive(stream, "stage", request(held.stage));
      fleet.receive(stream, "activation", request(held.activation));
      return stream;
    },
    /** Everything that the stream would be sent now. */
    drain(stream: FleetStream<string>): string[] {
      const sent: string[] = [];
      for (;;) {
        const response = fleet.next(stream);
        if (response === null) return sent;
        fleet.wrote(stream, response);
        sent.push(`${response.kind} ${epochOf(response.version)}`);
      }
    },
    answer(stream: FleetStream<string>, kind: ResourceKind, error?: string) {
      fleet.receive(
        stream,
        kind,
        request(stream.subscriptions[kind].sent, stream.subscriptions[kind].nonce, ["demo"], error),
      );
    },
  };
}
