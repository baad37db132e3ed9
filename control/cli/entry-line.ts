import type { Entry } from "../checkpoint/chain.ts";
import type { Approval, CheckpointRecord, RoundSummary } from "../checkpoint/record.ts";
import { ROLLOUT_TOPIC, type WatchNote } from "../rollout/fold.ts";
import { wallTime } from "./print-change.ts";

/** One entry of the log on one line. */
export function entryLine({ seq, atMs, term, body }: Entry): string {
  const head = `${String(seq).padStart(6)}  ${wallTime(atMs)}  term ${term}`;
  switch (body.kind) {
    case "reserve":
      return `${head}  epoch ${body.epoch} reserved`;
    case "move": {
      const { from, to, detail } = body.move;
      const why = "text" in detail ? `: ${detail.text}` : "reason" in detail ? `: ${detail.reason}` : "";
      return `${head}  epoch ${body.epoch} ${from} → ${to}${why}`;
    }
    case "note":
      if (body.topic === ROLLOUT_TOPIC.watch)
        return `${head}  epoch ${body.epoch} ${watchText(body.detail as WatchNote)}`;
      if (body.topic === "activation")
        return `${head}  epoch ${body.epoch} ${activationText(body.detail as RoundSummary)}`;
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
      return `${head}  epoch ${body.epoch} ${state}: ${record.changeType}, ${record.trigger} by ${record.author.name}, ${approved}${stepText(record)}: ${record.why}`;
    }
  }
}

function activationText({ acks, asked, result, firstAckMs, lastAckMs }: RoundSummary): string {
  if (firstAckMs === null || lastAckMs === null) return `activation ${result}: ${acks} of ${asked} nodes`;
  const [last, skew] = [lastAckMs, lastAckMs - firstAckMs].map((ms) => ms.toFixed(1));
  return `activated by ${acks} of ${asked} nodes within ${last} ms, skew ${skew} ms`;
}

function watchText({ asked, failed, sinceMs, bakeUntilMs }: WatchNote): string {
  const answers = failed === 0 ? `${asked} nodes use it` : `${asked - failed} of ${asked} nodes use it`;
  return `${answers}; bakes for ${(bakeUntilMs - sinceMs) / 1000} s`;
}

function stepText({ rollout, cohort }: CheckpointRecord): string {
  if (rollout === undefined || rollout.steps === 1) return "";
  const nodes = cohort === undefined || cohort.unit !== rollout.id ? "" : ` on ${cohort.nodes} of ${cohort.of} nodes`;
  return `, step ${rollout.step + 1} of ${rollout.steps}${nodes}`;
}
