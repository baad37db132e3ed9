import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { BallastError } from "../../common/errors.ts";
import { EMPTY_LEDGER, foldAll, type PendingChange, TOPIC } from "../../control/change/ledger.ts";
import { draft, type MoveDetails, type MoveName, move, stateAfter } from "../../control/checkpoint/moves.ts";
import type { Approval, CheckpointRecord, RoundSummary, ServiceChange } from "../../control/checkpoint/record.ts";
import { SqliteStore } from "../../control/checkpoint/sqlite-store.ts";
import {
  type CheckpointStore,
  committedCheckpoint,
  LEADER_LEASE,
  presentCheckpoint,
} from "../../control/checkpoint/store.ts";
import { recordSet, testRecord } from "../../control/checkpoint/test-records.ts";
import { type FollowOptions, TicketFollower } from "../../control/tickets/follow.ts";
import type { Change } from "./fake-changes.ts";
import { CI, type Stand, startStand, USERS } from "./stand.ts";

const ROUND: RoundSummary = {
  result: "proved",
  reason: "",
  tookMs: 1,
  firstAckMs: 1,
  lastAckMs: 1,
  asked: 1,
  acks: 1,
  nodes: [],
  omitted: 0,
};
const HOUR_MS = 3_600_000;

const change = (before: number, after: number): ServiceChange => ({
  name: "payments",
  mode: "steer",
  why: "CHG0031007 on pay-db-b",
  targets: [
    {
      name: "pay-a",
      beforePpm: before,
      weightPpm: after,
      stickyPpm: after,
      draining: false,
      causes: [{ kind: "window", ref: "CHG0031007", effectPpm: after - before, text: "pay-db-b is patched" }],
    },
    {
      name: "pay-b",
      beforePpm: 1_000_000 - before,
      weightPpm: 1_000_000 - after,
      stickyPpm: 1_000_000 - after,
      draining: false,
      causes: [],
    },
  ],
});

/** A control server's dealings with the log, without the server: it proposes, commits and bakes. */
class Server {
  readonly store: CheckpointStore;
  readonly stand: Stand;
  readonly term: number;
  follower!: TicketFollower;
  #epoch = 0;

  constructor(store: CheckpointStore, stand: Stand, term: number) {
    this.store = store;
    this.stand = stand;
    this.term = term;
  }

  async follow(over: Partial<FollowOptions["policy"]> & { maxLives?: number } = {}): Promise<void> {
    const { maxLives = 64, ...policy } = over;
    this.follower = await TicketFollower.start({
      store: this.store,
      term: this.term,
      system: this.stand.tickets,
      rules: { fleet: "demo", standard: true, ciOf: () => CI.pay, windowMs: HOUR_MS, maxLives },
      policy: { onConflict: "hold", approvals: "ticket", whenDown: "hold", ...policy },
      approve: (request) => this.approve(request),
      refuse: (request) => this.refuse(request),
      pollEveryMs: 20,
      maxBackoffMs: 60,
    });
  }

  async propose(author = "alice"): Promise<number> {
    const epoch = await this.#reserve();
    const record = testRecord(epoch, await this.#parent(), recordSet(300_000), this.term);
    const { services: _none, ...rest } = record;
    const pending: PendingChange = {
      epoch,
      author: { kind: "person", name: author },
      why: "less on pay-a",
      proposedAtMs: Date.now(),
      expiresAtMs: Date.now() + HOUR_MS,
      services: [
        { ...change(500_000, 300_000), beforeMode: "steer", sessionsPpm: 0, sessionsText: "", slotsMoved: 51 },
      ],
      record: { ...rest, changeType: "normal" },
      verdicts: [{ rule: "step_limit", ok: false, text: "payments: largest step 200000 of 100000 ppm" }],
    };
    await this.store.append({ kind: "note", epoch, topic: TOPIC.pending, detail: pending }, { term: this.term });
    return epoch;
  }

  /** As control/serve carries out an approval: a new epoch that names the change, then the waiting one ends. */
  async approve(request: { epoch: number; by: string; reason: string }): Promise<void> {
    const state = foldAll(EMPTY_LEDGER, await this.store.history({ limit: 1000 }));
    const approval: Approval = {
      kind: "person",
      by: { kind: "person", name: request.by },
      atMs: Date.now(),
      evidence: request.reason,
    };
    const { epoch } = request;
    if (state.owed.some((owed) => owed.epoch === epoch)) {
      await this.store.append(
        { kind: "note", epoch, topic: TOPIC.approval, detail: { approval } },
        { term: this.term },
      );
      return;
    }
    const pending = state.pending.find((one) => one.epoch === epoch);
    if (pending === undefined) throw new BallastError("CHANGE_NOT_FOUND", `no change ${epoch}`);
    await this.commit({ changeType: "normal", change: epoch }, approval);
    const waiting = move(draft({ ...pending.record, services: [] }), "validate", { verdicts: [] }, 1);
    const ended = move(move(waiting, "approve", { approval }, 2), "abort", { reason: "carried out" }, 3);
    await this.store.append({ kind: "checkpoint", epoch, checkpoint: ended }, { term: this.term });
  }

  async refuse({ epoch, by, reason }: { epoch: number; by: string; reason: string }): Promise<void> {
    const pending = foldAll(EMPTY_LEDGER, await this.store.history({ limit: 1000 })).pending.find(
      (one) => one.epoch === epoch,
    );
    if (pending === undefined) throw new BallastError("CHANGE_NOT_FOUND", `no change ${epoch}`);
    const waiting = move(draft({ ...pending.record, services: [] }), "validate", { verdicts: [] }, 1);
    const ended = move(waiting, "refuse", { by: { kind: "person", name: by }, reason }, 2);
    await this.store.append({ kind: "checkpoint", epoch, checkpoint: ended }, { term: this.term });
  }

  async commit(over: Partial<CheckpointRecord>, approval?: Approval): Promise<number> {
    const epoch = await this.#reserve();
    const parent = await this.#parent();
    const set = recordSet(300_000);
    const record = { ...testRecord(epoch, parent, set, this.term), services: [change(500_000, 300_000)], ...over };
    const rule: Approval = { kind: "rule", by: { kind: "rule", name: "standard" }, atMs: 1 };
    const validated = move(draft(record), "validate", { verdicts: [] }, 1);
    const staged = move(move(validated, "approve", { approval: approval ?? rule }, 2), "stage", { round: ROUND }, 3);
    const active = move(staged, "commit", { by: { kind: "rule", name: "x" } }, Date.now());
    await this.store.commit(parent, active, set.tables);
    return epoch;
  }

  /** As a person's approval in Ballast is held against the ticket. */
  async demand(epoch: number): Promise<void> {
    const { pending } = foldAll(EMPTY_LEDGER, await this.store.history({ limit: 1000 }));
    this.follower.demandApproved(pending.find((one) => one.epoch === epoch));
  }

  async emergency(): Promise<number> {
    const owed: Approval = {
      kind: "owed",
      by: { kind: "rule", name: "emergency" },
      atMs: 1,
      dueMs: Date.now() + HOUR_MS,
    };
    return this.commit(
      { changeType: "emergency", trigger: "rollback", author: { kind: "person", name: "alice" } },
      owed,
    );
  }

  async make<M extends MoveName>(epoch: number, name: M, detail: MoveDetails[M]): Promise<void> {
    const { state } = (await presentCheckpoint(this.store, epoch))!;
    const made = { move: name, from: state, to: stateAfter(state, name)!, atMs: Date.now(), detail };
    await this.store.append({ kind: "move", epoch, move: made }, { term: this.term });
  }

  ticketOf(epoch: number): Change | undefined {
    return [...this.stand.fake.table.changes.values()].find(
      ({ fields }) => fields.get("correlation_id") === `ballast:demo:${epoch}`,
    );
  }

  /** Waits for a state of the ticket by its number. */
  async reaches(epoch: number, state: string): Promise<Change> {
    await until(`the ticket of ${epoch} in ${state}`, () => this.ticketOf(epoch)?.fields.get("state") === state);
    return this.ticketOf(epoch)!;
  }

  async #reserve(): Promise<number> {
    this.#epoch = await this.store.reserve(await this.#parent(), { holder: "demo", term: this.term });
    return this.#epoch;
  }

  async #parent(): Promise<number> {
    return (await this.store.head()).epoch;
  }
}

/** Ten seconds are far more than any of these take; a machine that is slower still is not what is tested. */
async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const endMs = performance.now() + 10_000; performance.now() < endMs; ) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail(`not in time: ${what}`);
}

async function withServer(
  run: (server: Server) => Promise<void>,
  options: Parameters<typeof startStand>[0] = {},
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ballast-tickets-"));
  const stand = await startStand(options);
  const store = SqliteStore.open({ path: join(folder, "s.db"), watchMs: 5 });
  const lease = await store.lease(LEADER_LEASE, { holder: "a", ttlMs: HOUR_MS });
  const server = new Server(store, stand, lease.granted ? lease.token : 0);
  try {
    await run(server);
    assert.deepEqual(stand.fake.unmodelled, []);
  } finally {
    await server.follower?.stop();
    await store.close();
    await stand.stop();
    await rm(folder, { recursive: true });
  }
}

const lineOf = (server: Server, epoch: number) => server.follower.status().tickets.find((one) => one.epoch === epoch);

describe("a normal change and its ticket", () => {
  test("waits for two approvals there, is carried out on their evidence, and closes when it is baked", () =>
    withServer(async (server) => {
      await server.commit({});
      await server.follow();
      const epoch = await server.propose();
      // At once: also before the log's watcher has seen it.
      await assert.rejects(server.demand(epoch), { code: "TICKET_NOT_APPROVED" });
      const ticket = await server.reaches(epoch, "-4");
      assert.match(ticket.fields.get("description")!, /pay-a: 50.00% → 30.00%\n {4}−20.00% window CHG0031007/);
      assert.match(ticket.fields.get("description")!, /Outside the bounds.*\npayments: largest step/);
      const number = ticket.fields.get("number")!;
      await until("its place in the status", () => lineOf(server, epoch)?.text.includes("waits for approval") === true);
      await assert.rejects(server.demand(epoch), { code: "TICKET_NOT_APPROVED" });
      assert.equal(await server.stand.decide(USERS.peer, number, "approved"), 200);
      assert.equal(await server.stand.decide(USERS.board, number, "approved"), 200);
      await server.reaches(epoch, "-1");
      const carried = (await server.store.head()).epoch;
      const checkpoint = (await committedCheckpoint(server.store, carried))!;
      assert.equal(checkpoint.record.change, epoch);
      const { approval } = checkpoint.moves.find((made) => made.move === "approve")!.detail as { approval: Approval };
      assert.equal(approval.by.name, "cab.one");
      assert.match(approval.evidence!, new RegExp(`${number} approved by cab.one at .*, peer.one at`));

      await server.make(carried, "bake", { text: "10 minutes without a breach" });
      const closed = await server.reaches(epoch, "3");
      assert.equal(closed.fields.get("close_code"), "successful");
      await until("nothing to follow", () => server.follower.status().tickets.length === 0);
      assert.deepEqual(closed.workNotes, [`In force as epoch ${carried}.`]);
    }));

  test("approved by its own author alone, it goes on waiting", () =>
    withServer(
      async (server) => {
        await server.commit({});
        await server.follow();
        const epoch = await server.propose("Carla Board");
        const { fields } = await server.reaches(epoch, "-3");
        await server.stand.decide(USERS.board, fields.get("number")!, "approved");
        await until(
          "the reason",
          () => lineOf(server, epoch)?.text.includes("somebody other than the author") === true,
        );
        assert.equal(fields.get("state"), "-2");
      },
      { assessors: [] },
    ));

  test("is refused when it is rejected there, and its ticket is cancelled", () =>
    withServer(async (server) => {
      await server.commit({});
      await server.follow();
      const epoch = await server.propose();
      const { fields } = await server.reaches(epoch, "-4");
      await server.stand.decide(USERS.peer, fields.get("number")!, "rejected", "not on a Monday");
      const ticket = await server.reaches(epoch, "4");
      assert.match(ticket.workNotes.join(), /rejected: not on a Monday/);
      assert.equal((await presentCheckpoint(server.store, epoch))!.state, "refused");
    }));

  test("with a blackout in its way it is not submitted until that is gone", () =>
    withServer(async (server) => {
      await server.commit({});
      await server.follow();
      const { blackouts } = server.stand.fake.table;
      blackouts.push({ name: "quarter end", start: "2000-01-01 00:00:00", end: "2100-01-01 00:00:00" });
      const epoch = await server.propose();
      await until("the conflict", () => lineOf(server, epoch)?.text.includes("Blackout quarter end") === true);
      assert.equal(server.ticketOf(epoch)!.fields.get("state"), "-5");
      blackouts.length = 0;
      await server.reaches(epoch, "-4");
    }));
});

describe("what goes out without waiting", () => {
  test("an emergency gets its ticket afterwards, its owed approval from there, and a rollback closes it as unsuccessful", () =>
    withServer(async (server) => {
      await server.follow();
      const epoch = await server.emergency();
      const { fields } = await server.reaches(epoch, "-3");
      assert.equal(fields.get("type"), "emergency");
      const owed = async () => foldAll(EMPTY_LEDGER, await server.store.history({ limit: 1000 })).owed.length;
      assert.equal(await owed(), 1);
      await server.stand.decide(USERS.board, fields.get("number")!, "approved");
      await server.reaches(epoch, "-1");
      assert.equal(await owed(), 0);
      await server.make(epoch, "rollBack", { byEpoch: epoch + 1, reason: "errors on pay-b" });
      const closed = await server.reaches(epoch, "3");
      assert.equal(closed.fields.get("close_code"), "unsuccessful");
      assert.match(closed.fields.get("close_notes")!, /errors on pay-b/);
    }));

  test("a standard change that another follows before it is baked closes with issues", () =>
    withServer(async (server) => {
      await server.follow();
      const epoch = await server.commit({});
      await server.reaches(epoch, "-1");
      await server.make(epoch, "supersede", { byEpoch: epoch + 1 });
      assert.equal((await server.reaches(epoch, "3")).fields.get("close_code"), "successful_issues");
    }));

  test("a change that came with a ticket of its author gets no second one", () =>
    withServer(async (server) => {
      await server.follow();
      await server.commit({ ticket: "CHG0009999" });
      const next = await server.commit({});
      await server.reaches(next, "-1");
      assert.equal(server.stand.fake.table.changes.size, 1);
    }));
});

describe("when the ticket system is down", () => {
  test("normal changes hold, the status says why, and all goes on when it is back", () =>
    withServer(async (server) => {
      await server.commit({});
      await server.follow();
      const down = { path: /./, what: 503 };
      server.stand.fake.faults.push(...Array.from({ length: 40 }, () => down));
      const epoch = await server.propose();
      await until("the failure", () => (lineOf(server, epoch)?.failures ?? 0) > 0);
      const status = server.follower.status();
      assert.equal(status.reachable, false);
      assert.equal(status.lastError?.code, "TICKET_SYSTEM_DOWN");
      await assert.rejects(server.demand(epoch), { code: "TICKET_NOT_APPROVED", message: /cannot be asked/ });
      await server.demand(99);
      const emergency = await server.emergency();
      assert.equal((await server.store.head()).epoch, emergency, "an emergency waits for nobody");
      server.stand.fake.faults.length = 0;
      await server.reaches(epoch, "-4");
      await server.reaches(emergency, "-3");
      assert.equal(server.follower.status().reachable, true);
    }));

  test("a ticket that is refused for its rate is left alone for as long as was asked", () =>
    withServer(async (server) => {
      await server.follow();
      server.stand.fake.faults.push({ what: 429, retryAfter: "3600" });
      const limited = await server.commit({});
      await until("the refusal", () => lineOf(server, limited)?.failures === 1);
      const other = await server.commit({});
      const { sysId } = await server.reaches(other, "-1");
      const looks = () =>
        server.stand.fake.requests.filter((line) => line === `GET /api/sn_chg_rest/change/${sysId}`).length;
      const before = looks();
      await until("ten more looks at the other", () => looks() >= before + 10);
      assert.equal(lineOf(server, limited)?.failures, 1);
      assert.equal(server.ticketOf(limited), undefined);
    }));

  test("by policy a normal change may be approved in Ballast meanwhile; its ticket catches up", () =>
    withServer(async (server) => {
      await server.commit({});
      await server.follow({ whenDown: "proceed" });
      server.stand.fake.faults.push(...Array.from({ length: 60 }, () => ({ what: 503 })));
      const epoch = await server.propose();
      await until("the failure", () => !server.follower.status().reachable);
      await server.demand(epoch);
      await server.approve({ epoch, by: "bob", reason: "the ticket system is down" });
      server.stand.fake.faults.length = 0;
      const { fields } = await server.reaches(epoch, "-4");
      for (const who of [USERS.peer, USERS.board]) await server.stand.decide(who, fields.get("number")!, "approved");
      await server.reaches(epoch, "-1");
    }));
});

describe("restarts", () => {
  test("at any point change nothing: one ticket, every note once", () =>
    withServer(async (server) => {
      await server.commit({});
      await server.follow();
      const restart = async () => {
        await server.follower.stop();
        await server.follow();
      };
      const epoch = await server.propose();
      // The ticket is opened, and the answer lost.
      server.stand.fake.faults.push({ method: "POST", path: /change$/, what: "lost" });
      await until("the ticket", () => server.ticketOf(epoch) !== undefined);
      await restart();
      const { fields } = await server.reaches(epoch, "-4");
      await restart();
      const number = fields.get("number")!;
      await server.stand.decide(USERS.peer, number, "approved");
      await server.follower.stop();
      await server.stand.decide(USERS.board, number, "approved");
      await server.follow();
      await server.reaches(epoch, "-1");
      await restart();
      await server.follower.stop();
      await server.make((await server.store.head()).epoch, "bake", { text: "fine" });
      await server.follow();
      const closed = await server.reaches(epoch, "3");
      assert.equal(closed.workNotes.length, 1);
      assert.equal(server.stand.fake.table.changes.size, 1);
    }));

  test("a log from before there was a ticket system gives tickets to what waits and owes, and to nothing else", () =>
    withServer(async (server) => {
      await server.commit({});
      await server.commit({});
      const emergency = await server.emergency();
      const waiting = await server.propose();
      await server.follow();
      await server.reaches(waiting, "-4");
      await server.reaches(emergency, "-3");
      assert.equal(server.stand.fake.table.changes.size, 2);
    }));

  test("a server that has lost the lead opens nothing and says so", () =>
    withServer(async (server) => {
      await server.commit({});
      await server.follow();
      const newer = await server.store.lease(LEADER_LEASE, { holder: "a", ttlMs: HOUR_MS });
      assert.ok(newer.granted);
      const next = new Server(server.store, server.stand, newer.token);
      await next.propose();
      await until("it stops", () => server.follower.status().stopped !== null);
      assert.equal(server.stand.fake.table.changes.size, 0);
    }));
});

test("more tickets than are followed are counted, and the least of them is left out", () =>
  withServer(async (server) => {
    server.stand.fake.faults.push(...Array.from({ length: 400 }, () => ({ what: 503 })));
    await server.follow({ maxLives: 2 });
    for (let i = 0; i < 3; i++) await server.commit({});
    const { store } = server;
    const seq = async () => (await store.head()).tip.seq;
    await until("all are read", async () => (await seq()) > 0 && server.follower.status().skipped >= 1);
    assert.equal(server.follower.status().tickets.length, 2);
  }));
