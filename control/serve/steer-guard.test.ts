import assert from "node:assert/strict";
import { test } from "node:test";
import { Stand } from "./serve.fixture.ts";

/** Requests go by `shareOfA` of the static weights until the watch has seen enough, or for `rounds`. */
async function send(stand: Stand, shareOfA: number, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const [target, share] of [
      ["payments-site-a", shareOfA],
      ["payments-site-b", 1 - shareOfA],
    ] as const) {
      stand.completed.set(target, (stand.completed.get(target) ?? 0) + Math.round(1_200 * share));
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

const headerName = (sessions: boolean) =>
  Stand.start({
    edit: (yaml) => {
      const { payments } = yaml.services;
      payments.mode = "steer";
      payments.steering = "header_name";
      if (sessions) payments.sessions = {};
      else delete payments.sessions;
    },
  });

async function shareInForce(stand: Stand): Promise<number> {
  const view = await stand.until("weights that stand still", ({ epoch, nodes }) => epoch > 0 && nodes.length > 0);
  const payments = view.services.find(({ name }) => name === "payments")!;
  return payments.targets.find(({ name }) => name === "payments-site-a")!.weightPpm / 1_000_000;
}

test("an edited header_name route takes the fleet to passthrough, raises STEER_MISMATCH and keeps it over a restart", async () => {
  const stand = await headerName(false);
  try {
    const share = await shareInForce(stand);
    await send(stand, share, 16);
    const calm = await stand.status();
    assert.equal(calm.mode, "steer");
    assert.ok(!calm.alarms.some((alarm) => alarm.startsWith("STEER_MISMATCH")));

    let sending = true;
    const traffic = (async () => {
      while (sending) await send(stand, share - 0.1, 1);
    })();
    const view = await stand.until("passthrough", ({ mode }) => mode === "passthrough");
    sending = false;
    await traffic;
    assert.ok(
      view.alarms.some((alarm) => /^STEER_MISMATCH: .*payments: at edge-1 payments-site-[ab] got .* %/.test(alarm)),
      view.alarms.join("\n"),
    );
    assert.ok(view.held, "the planner holds");
    assert.ok(
      view.changes.owed.some(({ epoch }) => epoch === view.epoch),
      "its approval is owed",
    );

    await stand.restart();
    const restarted = await stand.until("the state of before", ({ epoch }) => epoch === view.epoch);
    assert.ok(restarted.alarms.some((alarm) => alarm.startsWith("STEER_MISMATCH: kill switch on: payments")));
  } finally {
    await stand.stop();
  }
});

test("a service with sessions only raises the alarm", async () => {
  const stand = await headerName(true);
  try {
    const share = await shareInForce(stand);
    let sending = true;
    const traffic = (async () => {
      while (sending) await send(stand, share - 0.3, 1);
    })();
    const view = await stand.until("the alarm", ({ alarms }) => alarms.some((a) => a.startsWith("STEER_MISMATCH")));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    sending = false;
    await traffic;
    assert.equal((await stand.status()).mode, "steer");
    assert.equal((await stand.status()).epoch, view.epoch);
    const { body } = await stand.call("GET", "/metrics");
    assert.match(body.text as unknown as string, /^ballast_steer_mismatches 1$/m);
  } finally {
    await stand.stop();
  }
});
