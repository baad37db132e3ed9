import { z } from "zod";
import type { TargetMemory } from "./capacity-book.ts";
import { MAX_BINS } from "./estimator.ts";

/** Of the text; a change of its meaning takes the next number, and older texts are forgotten. */
const LAYOUT = 1;
/** Hours of learning are worth a warning when they are lost, a start is not worth failing for them. */
const number = z.number();
const memorySchema = z.strictObject({
  layout: z.literal(LAYOUT),
  /** Planning time of the writing. */
  atMs: number,
  service: z.string(),
  targets: z.array(
    z.strictObject({
      target: z.string(),
      priorRps: number,
      latencyMs: number,
      errorShare: number,
      quantile: z.enum(["p50", "p99"]),
      agedMs: number,
      lastMs: number,
      bins: z.array(z.tuple([number, number, number, number, number])).max(MAX_BINS),
    }),
  ),
});

export interface ServiceMemory {
  service: string;
  atMs: number;
  targets: TargetMemory[];
}

/**
 * What was learnt of a service's targets, as text of at most `maxBytes`. Where they do not all fit, those with the newest readings
 * are kept, the others begin anew: about 180 targets with every bin filled fit into half a megabyte.
 */
export function encodeMemory({ service, atMs, targets }: ServiceMemory, maxBytes: number): string {
  const head = `{"layout":${LAYOUT},"atMs":${atMs},"service":${JSON.stringify(service)},"targets":[`;
  const parts: string[] = [];
  let bytes = Buffer.byteLength(head) + 2;
  const newestFirst = [...targets].sort((a, b) => b.state.lastMs - a.state.lastMs);
  for (const { state, ...target } of newestFirst) {
    const part = JSON.stringify({ ...target, ...state });
    bytes += Buffer.byteLength(part) + 1;
    if (bytes > maxBytes) break;
    parts.push(part);
  }
  return `${head}${parts.join(",")}]}`;
}

/** Null for a text that is not what `encodeMemory` wrote of this service: a later version's, or a damaged one. */
export function decodeMemory(text: string, service: string): ServiceMemory | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  const read = memorySchema.safeParse(json);
  if (!read.success || read.data.service !== service) return null;
  const { atMs, targets } = read.data;
  return {
    service,
    atMs,
    targets: targets.map(({ agedMs, lastMs, bins, ...target }) => ({ ...target, state: { agedMs, lastMs, bins } })),
  };
}
