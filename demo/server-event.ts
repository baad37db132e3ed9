/** What the control server says on stdout under `--events`: one JSON object per line. Unknown events and fields are left alone. */
export type ServerEvent =
  | { event: "ready" }
  | EpochEvent
  | { event: "error"; message: string }
  | { event: "plan"; why?: string };

/** An epoch is active: every live member of the fleet uses it. */
export interface EpochEvent {
  event: "epoch";
  epoch: number;
  /** Wall time of the activation, ms. */
  at_ms: number;
  /** One line for people. */
  why: string;
  services: Record<string, EpochService>;
  /** Which link of the forecast chain the plan rests on. */
  forecast?: { source: string };
}

export interface EpochService {
  /** Shares 0 … 1 of the service's requests (of its sessions, where it has sessions). */
  targets: Record<string, { base: number; planned: number }>;
  /** Slots of `sticky` that changed owner against the epoch before, and the fewest that had to. */
  slotsMoved?: number;
  slotsMinMoved?: number;
  /** Why the service's weights are what they are; one line. */
  why?: string;
  /** base64 of the table's sticky[M] with the names its indexes stand for. */
  sticky?: { owners: string; targets: string[] };
}

/** Null for a line that is not an event: a log line, or an event of a newer server. */
export function parseServerEvent(line: string): ServerEvent | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof parsed !== "object" || parsed === null || !("event" in parsed)) return null;
  const event = parsed as ServerEvent;
  return ["ready", "epoch", "error", "plan"].includes(event.event) ? event : null;
}

/** Name of the owner of each slot. Throws when an index has no name: the server broke its own contract. */
export function stickyOwners(sticky: NonNullable<EpochService["sticky"]>): string[] {
  return Array.from(Buffer.from(sticky.owners, "base64"), (index) => {
    const name = sticky.targets[index];
    if (name === undefined) throw new Error(`sticky names target ${index} of ${sticky.targets.length}`);
    return name;
  });
}
