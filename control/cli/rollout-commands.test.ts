import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { BallastError } from "../../common/errors.ts";
import { Stand } from "../serve/serve.fixture.ts";
import type { StatusView } from "../serve/status.ts";
import { positionOf } from "../xds/cohort.ts";
import { Mode } from "../xds/proto/ballast_pb.js";
import { SimulatedFilter } from "../xds/simulated-filter.ts";
import type { Command } from "./io.ts";

/** Runs a command as the shell would; a typed error comes back as its text. */
async function ballast(stand: Stand, ...args: string[]): Promise<string> {
  const [name, ...rest] = args as [string, ...string[]];
  const { run } = (await import(`./${name}.ts`)) as { run: Command };
  const lines: string[] = [];
  const where = name === "audit" ? ["--store", stand.storePath] : ["--server", stand.address];
  try {
    await run([...rest, ...where], { out: (text) => void lines.push(text), err: () => {}, color: false });
  } catch (thrown) {
    if (!(thrown instanceof BallastError)) throw thrown;
    lines.push(thrown.message);
  }
  return lines.join("\n");
}

/** A place behind that of edge-1, whose telemetry the stand has: edge-1 is the one that goes ahead. */
const SECOND = Array.from({ length: 1_000 }, (_, i) => `edge-${i + 2}`).find(
  (id) => positionOf(id) > positionOf("edge-1"),
)!;

const service = (name: string, first: string, second: string, ppm: number) => ({
  name,
  weightsPpm: { [first]: ppm, [second]: 1_000_000 - ppm },
});
const ledger = (ppm: number) => service("ledger", "ledger-site-a", "ledger-site-b", ppm);
const payments = (ppm: number) => service("payments", "payments-site-a", "payments-site-b", ppm);
const change = (one: object) => ({ services: [one], author: "alice", reason: "CHG1" });
const metric = async (stand: Stand, name: string): Promise<string> => {
  const { text } = (await stand.call("GET", "/metrics")).body;
  return (text as string).split("\n").find((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`)) ?? "";
};
const flying = (view: StatusView, epoch: number) => view.rollouts.inFlight.find(({ unit }) => unit === epoch);

describe("what a person sees of a rollout", () => {
  let stand: Stand;
  let second: SimulatedFilter;
  before(async () => {
    stand = await Stand.start({
      edit: (yaml) => {
        // Long enough on this clock that nothing passes by itself; the telemetry of the stand has no requests in it.
        yaml.rollout = { cohorts: ["one", "100%"], bakeTime: "1h", telemetryGap: "1d", maxFailedNodes: "60%" };
        yaml.changeControl = { standard: { maxStep: "100%" } };
      },
    });
    await stand.until("first weights", (view) => view.epoch > 0);
    second = new SimulatedFilter({ port: stand.server.xdsPort, fleet: "demo", id: SECOND, instance: "a" }).open();
    await stand.until("two nodes", (view) => view.nodes.filter(({ current }) => current === true).length === 2);
  });
  after(async () => {
    second?.close();
    await stand?.stop();
  });

  let epoch = 0;

  test("diff says beforehand in which steps a change would go", async () => {
    const ask = (name: string, weights: string) => ballast(stand, "diff", "--service", name, "--weights", weights);
    const byNodes = await ask("ledger", "ledger-site-a=60%,ledger-site-b=40%");
    assert.match(byNodes, /goes in 2 steps, on 1, 2 of 2 nodes, each watched for 3600 s/);
    const bySlots = await ask("payments", "payments-site-a=30%,payments-site-b=70%");
    assert.match(bySlots, /goes in 2 steps, on 2, 2 of 2 nodes/);
  });

  test("step, nodes and remaining bake stand in status and in metrics; another change of the service is refused", async () => {
    const made = await stand.call("POST", "/v1/changes", change(ledger(600_000)));
    epoch = made.body.epoch as number;
    assert.deepEqual([made.body.steps, made.body.nodes], [2, { ahead: 1, of: 2 }]);
    const view = await stand.until("the bake", (one) => flying(one, epoch)?.phase === "baking");
    const { step, steps, nodes, of, bakeLeftMs } = flying(view, epoch)!;
    assert.deepEqual([step, steps, nodes, of], [1, 2, 1, 2]);
    assert.ok(bakeLeftMs > 3_500_000 && bakeLeftMs <= 3_600_000);
    const text = await ballast(stand, "status");
    assert.match(text, new RegExp(`change ${epoch}: ledger: step 1 of 2 on 1 of 2 nodes, baking: bakes for another`));
    assert.equal(await metric(stand, "ballast_rollout_step"), `ballast_rollout_step{unit="${epoch}"} 1`);
    assert.equal((await stand.call("POST", "/v1/changes", change(ledger(700_000)))).body.code, "CHANGE_IN_FLIGHT");
  });

  test("history and audit show the step, its cohort and what a rollback ended", async () => {
    assert.match(
      await ballast(stand, "history"),
      new RegExp(`epoch ${epoch} active: .*, step 1 of 2 on 1 of 2 nodes: CHG1`),
    );
    assert.match(await ballast(stand, "history"), /2 nodes use it; bakes for 3600 s/);
    const shown = await ballast(stand, "audit", "show", String(epoch));
    assert.match(shown, new RegExp(`rollout ${epoch}, change, step 1 of 2; unit ${epoch} ahead on 1 of 2 nodes`));
    assert.match(shown, /ledger by nodes/);
    const back = await stand.call("POST", "/v1/rollback", { epoch: 1, author: "bob", reason: "enough" });
    const ended = await ballast(stand, "audit", "show", String(back.body.epoch));
    assert.match(
      ended,
      new RegExp(`ends ${epoch}: rolled back: taken back: rollback to the tables of epoch 1: enough`),
    );
    assert.equal((await stand.call("GET", `/v1/epochs/${epoch}`)).body.state, "rolledBack");
    await stand.call("POST", "/v1/resume", { author: "bob" });
  });

  test("a node that refuses an activation passes requests through, is shown, and begins anew with the next epoch", async () => {
    second.options.refuseActivation = () => "HANDOVER_FAILED";
    const made = await stand.call("POST", "/v1/changes", change(payments(700_000)));
    assert.equal(made.body.state, "active");
    await second.until(() => second.mode === Mode.PASSTHROUGH);
    const view = await stand.status();
    assert.deepEqual(view.rollouts.quarantined, [
      { id: SECOND, instance: "a", epoch: made.body.epoch, reason: "HANDOVER_FAILED" },
    ]);
    assert.ok(view.alarms.some((alarm) => alarm.startsWith(`QUARANTINE: node ${SECOND}`)));
    assert.match(await ballast(stand, "status"), new RegExp(`node ${SECOND} .*QUARANTINED: HANDOVER_FAILED`));
    assert.equal(await metric(stand, "ballast_nodes"), 'ballast_nodes{state="active"} 1');

    await stand.restart();
    second.close();
    second.options.port = stand.server.xdsPort;
    second.open();
    await stand.until("the next server knows", ({ rollouts }) => rollouts.quarantined.length === 1);

    delete second.options.refuseActivation;
    await stand.call("POST", "/v1/rollback", { author: "bob", reason: "begin anew" });
    await stand.until("both steer", ({ nodes, rollouts }) => {
      return rollouts.quarantined.length === 0 && nodes.filter(({ current }) => current === true).length === 2;
    });
    assert.equal(second.mode, Mode.STEER);
  });
});
