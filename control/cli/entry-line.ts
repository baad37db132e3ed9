import type { Entry } from "../checkpoint/chain.ts";
import type { Approval } from "../checkpoint/record.ts";
import { wallTime } from "./print-change.ts";

/** One entry of the log on one line. */
export function entryLine({ seq, atMs, term, body }: Entry): string {
  const head = `${String(seq).padStart(6)}  ${wallTime(atMs)}  term ${term}`;
  switch (body.kind) {
    case "reserve":
      return `${head}  epoch ${body.epoch} reserved`;
    case "move":
      return `${head}  epoch ${body.epoch} ${body.move.from} → ${body.move.to}`;
    case "note":
      return `${head}  ${body.epoch === null ? "" : `epoch ${body.epoch} `}note ${body.topic}`;
    case "checkpoint": {
      const { record, state, moves } = body.checkpoint;
      const approve = moves.find(({ move }) => move === "approve");
      const approval = approve === undefined ? null : (approve.detail as { approval: Approval }).approval;
      const approved =
        approval === null
          ? "not approved"
          : approval.kind === "owed"
            ? "approval owed"
            : `approved by ${approval.by.name}`;
      return `${head}  epoch ${body.epoch} ${state}: ${record.changeType}, ${record.trigger} by ${record.author.name}, ${approved}: ${record.why}`;
    }
  }
}
