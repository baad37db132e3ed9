import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { digestHex } from "../../common/xxh64.ts";
import type { FleetStream } from "./fleet.ts";
import { ActivationSchema, StageSchema } from "./proto/ballast_pb.js";
import { DiscoveryResponseSchema } from "./proto/discovery_pb.js";
import { epochOf, versionOf } from "./resources.ts";
import { rig } from "./test-fleet.ts";
import { testSet } from "./test-sets.ts";

const set = testSet({ payments: 600_000 });
const other = testSet({ payments: 700_000 });
const all = { deadlineMs: 1_000, quorum: "all" } as const;

test("the messages on the wire carry the epoch, the term, the digests and the mode", () => {
  const { fleet, join } = rig();
  const stream = join("a");
  fleet.stage({ epoch: 3, term: 9, set }, all);
  const response = fleet.next(stream)!;
  const outer = fromBinary(DiscoveryResponseSchema, response.bytes);
  assert.equal(outer.typeUrl, "type.googleapis.com/ballast.v1.Stage");
  assert.equal(outer.resources[0]?.typeUrl, outer.typeUrl);
  assert.equal(outer.versionInfo, `3-${digestHex(set.digest)}`);
  const stage = fromBinary(StageSchema, outer.resources[0]!.value);
  assert.deepEqual([stage.epoch, stage.term, stage.setDigest], [3n, 9n, set.digest]);
  assert.deepEqual(
    stage.tables.map((table) => [table.service, table.digest]),
    [["payments", set.tables[0]!.digest]],
  );
  fleet.wrote(stream, response);
  fleet.receive(stream, "stage", {
    versionInfo: response.version,
    responseNonce: response.nonce,
    resourceNames: ["demo"],
    error: undefined,
  });
  fleet.activate({ epoch: 3, mode: "passthrough", deadlineMs: 1_000 });
  const activation = fromBinary(
    ActivationSchema,
    fromBinary(DiscoveryResponseSchema, fleet.next(stream)!.bytes).resources[0]!.value,
  );
  assert.deepEqual([activation.epoch, activation.term, activation.setDigest, activation.mode], [3n, 9n, set.digest, 3]);
});

test("after an abort a node that staged the epoch is not sent a lower one, and follows the next", () => {
  const { fleet, join, drain, answer } = rig();
  fleet.restore({ reservedEpoch: 1, committed: { epoch: 1, term: 1, set, mode: "steer" } });
  const stream = join("a");
  assert.deepEqual(drain(stream), ["stage 1", "activation 1"]);
  answer(stream, "stage");
  answer(stream, "activation");
  fleet.stage({ epoch: 2, term: 1, set: other }, all);
  assert.deepEqual(drain(stream), ["stage 2"]);
  fleet.abort("changed my mind");
  assert.deepEqual(drain(stream), []);
  fleet.stage({ epoch: 3, term: 1, set: other }, all);
  assert.deepEqual(drain(stream), ["stage 3"]);
});

test("of several epochs that pass while a stream cannot be written, it is sent the newest only", () => {
  const { fleet, join, drain, pass } = rig();
  const stream = join("a");
  for (let epoch = 1; epoch <= 5; epoch++) {
    fleet.stage({ epoch, term: 1, set: epoch % 2 === 0 ? set : other }, all);
    if (epoch < 5) pass(1_000);
  }
  assert.deepEqual(drain(stream), ["stage 5"]);
});

test("a restarted process takes over the vote of the one that is gone; a second one beside it has none", () => {
  const { fleet, join, drain, answer, outcomes } = rig();
  const old = join("a");
  const beside = join("b");
  fleet.stage({ epoch: 1, term: 1, set }, all);
  const hot = join("b", {}, "2");
  assert.deepEqual(drain(hot), []);
  fleet.close(old);
  const successor = join("a", {}, "2");
  assert.deepEqual(drain(successor), ["stage 1"]);
  answer(successor, "stage");
  drain(beside);
  answer(beside, "stage");
  assert.deepEqual(outcomes[0]?.nodes.map(({ id, instance, answer: given }) => [id, instance, given]).sort(), [
    ["a", "2", "ack"],
    ["b", "1", "ack"],
  ]);
});

test("a refused table refuses the stage it belongs to", () => {
  const { fleet, join, drain, request, outcomes } = rig();
  const stream = join("a");
  fleet.stage({ epoch: 1, term: 1, set }, all);
  drain(stream);
  fleet.receive(stream, "table", request("", "", [digestHex(set.tables[0]!.digest)]));
  assert.deepEqual(drain(stream), ["table 1"]);
  fleet.receive(stream, "table", request("", stream.subscriptions.table.nonce, [], "digest"));
  assert.equal(outcomes[0]?.result, "refused");
  assert.equal(outcomes[0]?.reason, "a: table: digest");
});

test("a table is not sent twice for one request, but again when it is asked for again", () => {
  const { fleet, join, drain, request } = rig();
  fleet.restore({ reservedEpoch: 1, committed: { epoch: 1, term: 1, set, mode: "steer" } });
  const stream = join("a");
  drain(stream);
  const names = [digestHex(set.tables[0]!.digest)];
  fleet.receive(stream, "table", request("", "", names));
  assert.deepEqual(drain(stream), ["table 1"]);
  const first = stream.subscriptions.table.nonce;
  fleet.receive(stream, "table", request("x", first, names));
  assert.deepEqual(drain(stream), []);
  fleet.receive(stream, "table", request("x", first, names));
  assert.deepEqual(drain(stream), ["table 1"]);
  assert.notEqual(stream.subscriptions.table.nonce, first);
});

test("the tables of the last three sets are served, older ones are not", () => {
  const { fleet, join, drain, request, warnings } = rig();
  const sets = [100_000, 200_000, 300_000, 400_000].map((ppm) => testSet({ payments: ppm }));
  for (const [i, each] of sets.entries()) {
    fleet.restore({ reservedEpoch: i + 1, committed: { epoch: i + 1, term: 1, set: each, mode: "steer" } });
  }
  const stream = join("a");
  drain(stream);
  const name = (i: number) => digestHex(sets[i]!.tables[0]!.digest);
  fleet.receive(stream, "table", request("", "", [name(0), name(1)]));
  assert.deepEqual(drain(stream), ["table 4"]);
  assert.deepEqual(warnings, [`a#1: asks for tables that are not held: ${name(0)}`]);
});

test("a node with other tables under the epoch in force is a fleet of another history", () => {
  const { fleet, join, warnings } = rig();
  fleet.restore({ reservedEpoch: 4, committed: { epoch: 4, term: 1, set, mode: "steer" } });
  join("a", { stage: versionOf(4, other.digest) });
  assert.match(warnings[0] ?? "", /EPOCH_BEHIND_FLEET/);
  assert.equal(fleet.behind?.code, "EPOCH_BEHIND_FLEET");
});

test("when every node has failed twice all are asked again, so that nothing is committed unproved", () => {
  const { fleet, join, pass, outcomes } = rig();
  join("a");
  for (let epoch = 1; epoch <= 4; epoch++) {
    fleet.stage({ epoch, term: 1, set }, all);
    pass(1_000);
  }
  assert.deepEqual(
    outcomes.map((outcome) => [outcome.result, outcome.nodes.length]),
    Array.from({ length: 4 }, () => ["timed_out", 1]),
  );
});

test("nodes that left are forgotten first when the bound of remembered nodes is reached", () => {
  const { fleet, join } = rig();
  const streams = ["a", "b", "c", "d"].map((id) => join(id));
  fleet.close(streams[2]!);
  fleet.close(streams[0]!);
  join("e");
  assert.deepEqual([...fleet.nodes.values()].map((entry) => entry.id).sort(), ["a", "b", "d", "e"]);
});

test("whatever nodes do, no stream is ever sent a lower epoch, and no activation before its commit", () => {
  const op = fc.oneof(
    fc.record({ op: fc.constant("stage" as const), all: fc.boolean(), node: fc.constant(0) }),
    fc.record({ op: fc.constantFrom("activate" as const, "abort" as const, "expire" as const), node: fc.constant(0) }),
    fc.record({
      op: fc.constantFrom("join" as const, "leave" as const, "drain" as const, "ack" as const, "nack" as const),
      node: fc.nat(2),
    }),
  );
  fc.assert(
    fc.property(fc.array(op, { maxLength: 60 }), (ops) => {
      const r = rig();
      const live = new Map<number, FleetStream<string>>();
      const held = new Map<number, { stage: string; activation: string }>();
      let epoch = 0;
      let committed = 0;
      for (const step of ops) {
        if (step.op === "stage") {
          try {
            r.fleet.stage(
              { epoch: ++epoch, term: 1, set: epoch % 2 === 0 ? set : other },
              { deadlineMs: 10, quorum: step.all ? "all" : "whoever" },
            );
          } catch (error) {
            assert.equal((error as { code: string }).code, "PUSH_IN_FLIGHT");
          }
        } else if (step.op === "activate") {
          const staged = epochOf(r.fleet.stagedVersion);
          try {
            r.fleet.activate({ epoch: staged, mode: "steer", deadlineMs: 10 });
            assert.equal(r.outcomes.filter((o) => o.kind === "stage" && o.epoch === staged).at(-1)?.ok, true);
            committed = staged;
          } catch (error) {
            assert.equal((error as { code: string }).code, "PUSH_IN_FLIGHT");
          }
        } else if (step.op === "abort") {
          r.fleet.abort("test");
        } else if (step.op === "expire") {
          r.pass(10);
        } else if (step.op === "join") {
          if (!live.has(step.node)) live.set(step.node, r.join(`n${step.node}`, held.get(step.node)));
        } else {
          const stream = live.get(step.node);
          if (stream === undefined) continue;
          if (step.op === "leave") {
            const { stage, activation } = stream.subscriptions;
            held.set(step.node, { stage: stage.held, activation: activation.held });
            r.fleet.close(stream);
            live.delete(step.node);
          } else if (step.op === "drain") {
            const before = { stage: stream.subscriptions.stage, activation: stream.subscriptions.activation };
            const floor = Math.max(epochOf(before.stage.sent), epochOf(before.stage.held));
            for (const sent of r.drain(stream)) {
              const [kind, number] = sent.split(" ");
              if (kind === "activation") assert.ok(Number(number) <= committed);
              else assert.ok(Number(number) > floor);
            }
          } else {
            for (const kind of ["stage", "activation"] as const) {
              if (stream.subscriptions[kind].awaiting) r.answer(stream, kind, step.op === "nack" ? "no" : undefined);
            }
          }
        }
      }
      assert.equal(r.fleet.behind, null);
    }),
  );
});

test("what a set changes travels with its Stage to nodes that hold the set in force, and their own request for it is stale", () => {
  const { fleet, join, drain, answer, request } = rig();
  const old = join("old");
  const asks = (stream: FleetStream<string>, nonce: string, digest: bigint) =>
    fleet.receive(stream, "table", request("", nonce, [digestHex(digest)]));
  fleet.stage({ epoch: 1, term: 1, set }, all);
  // Nothing is offered to a node of which nothing is known.
  assert.deepEqual(drain(old), ["stage 1"]);
  asks(old, "", set.tables[0]!.digest);
  assert.deepEqual(drain(old), ["table 1"]);
  answer(old, "table");
  answer(old, "stage");
  fleet.activate({ epoch: 1, mode: "steer", deadlineMs: 1_000 });
  drain(old);
  answer(old, "activation");

  const tablesNonce = old.subscriptions.table.nonce;
  const fresh = join("fresh");
  drain(fresh);
  fleet.stage({ epoch: 2, term: 1, set: other }, all);
  assert.deepEqual(drain(old), ["stage 2", "table 2"]);
  // Sent as the Stage was read, before the table was: it must not bring the table a second time.
  asks(old, tablesNonce, other.tables[0]!.digest);
  assert.deepEqual(drain(old), []);
  // A node that does not hold the set in force gets what it asks for.
  assert.deepEqual(drain(fresh), ["stage 2"]);
  answer(old, "table");
  answer(old, "stage");
  fleet.abort("enough");

  // Back to an earlier set: its tables are held, none is sent.
  fleet.stage({ epoch: 3, term: 1, set }, all);
  assert.deepEqual(drain(old), ["stage 3"]);
});
