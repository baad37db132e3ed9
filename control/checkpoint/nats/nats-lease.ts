import { nuid } from "@nats-io/transport-node";
import { BallastError } from "../../../common/errors.ts";
import { sha256Hex } from "../record.ts";
import type { LeaseAnswer, LeaseRequest, StandingLease } from "../store.ts";
import type { Deadline } from "./deadline.ts";
import { isConflict, isTransient, jsErrorCode, NATS_HINT, storeError } from "./nats-errors.ts";
import type { NatsSession } from "./nats-session.ts";

interface StoredLease {
  holder: string;
  token: number;
  expiresAtMs: number;
  /** Names the call that wrote it: to find out whether one without an answer was stored. */
  call: string;
  /** Of the other fields: a lease changes in place and is no part of the chain, so this is what finds a changed byte. */
  sum: string;
}

function sumOf(name: string, { holder, token, expiresAtMs, call }: Omit<StoredLease, "sum">): string {
  return sha256Hex(JSON.stringify([name, holder, token, expiresAtMs, call]));
}

/** The lease as it stands; null when it was never given. */
export async function standingLease(
  { leases }: NatsSession,
  deadline: Deadline,
  name: string,
): Promise<StandingLease | null> {
  const found = await deadline.retry("reading a lease", () => leases.get(name));
  if (found === null || found.operation !== "PUT") return null;
  const { holder, token, expiresAtMs } = decodeLease(name, found.string());
  return { holder, token, expiresAtMs };
}

/**
 * One step of a lease's life, in the bucket, by compare-and-swap on the key's revision (never a plain put, which would let an
 * old holder overwrite the new one). `aboveToken`: a token that was given out elsewhere and must not come again.
 */
export async function takeLease(
  session: () => Promise<NatsSession>,
  deadline: Deadline,
  name: string,
  by: LeaseRequest,
  clock: { wallMs: () => number; aboveToken: number },
): Promise<LeaseAnswer & { renewed: boolean }> {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name)) throw new Error(`a lease cannot be named ${name}`);
  const call = nuid.next();
  let renewed = false;
  for (;;) {
    const { leases } = await session();
    const found = await deadline.retry("reading a lease", () => leases.get(name));
    const row = found === null || found.operation !== "PUT" ? null : decodeLease(name, found.string());
    // A try before this one was stored after all.
    if (row?.call === call) return { granted: true, token: row.token, expiresAtMs: row.expiresAtMs, renewed };

    const now = clock.wallMs();
    renewed = row !== null && by.token === row.token && by.holder === row.holder;
    if (row !== null && !renewed) {
      const free = row.expiresAtMs <= now || row.expiresAtMs === by.unrenewedMs || row.holder === by.holder;
      if (by.token !== undefined || !free) {
        return { granted: false, holder: row.holder, expiresAtMs: row.expiresAtMs, renewed };
      }
    }
    const token = renewed ? row!.token : Math.max(row?.token ?? 0, clock.aboveToken) + 1;
    const fields = { holder: by.holder, token, expiresAtMs: now + by.ttlMs, call };
    const next: StoredLease = { ...fields, sum: sumOf(name, fields) };
    try {
      const text = JSON.stringify(next);
      await (found === null ? leases.create(name, text) : leases.update(name, text, found.revision));
      return { granted: true, token, expiresAtMs: next.expiresAtMs, renewed };
    } catch (error) {
      if (!isConflict(jsErrorCode(error)) && !isTransient(error)) throw storeError(error, "taking a lease");
      if (deadline.over) {
        throw new BallastError("STORE_UNREADABLE", `whether ${by.holder} has the lease ${name} is unknown`, {
          cause: error,
          hint: NATS_HINT,
        });
      }
    }
    await deadline.pause();
  }
}

function decodeLease(name: string, text: string): StoredLease {
  try {
    const lease = JSON.parse(text) as StoredLease;
    if (Number.isSafeInteger(lease.token) && JSON.stringify(lease) === text && sumOf(name, lease) === lease.sum)
      return lease;
  } catch {
    // Reported below, as any other text that is no lease.
  }
  throw new BallastError("STORE_CORRUPT", `lease ${name}: its fields do not make its sum`);
}
