import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { STEER_HEADER } from "../../envoy/demo.ts";
import { type Answer, countServed } from "./fixture/client.ts";
import { connectionManager, type Json } from "./fixture/envoy.ts";
import { requireEnvoy } from "./fixture/requirements.ts";
import { Rig } from "./fixture/rig.ts";
import { type SteeredEnvoy, startSteeredEnvoy } from "./fixture/steered-envoy.ts";
import { trapModule } from "./fixture/trap-module.ts";

const requirements = await requireEnvoy();
const { skip } = requirements;

const SLOTS = 256;
/** A cluster that no weight of payments ever names: an answer from it would be the client's doing. */
const FOREIGN = "quotes-n";
const FORGERIES: Record<string, string | string[]>[] = [
  { [STEER_HEADER]: FOREIGN },
  { [STEER_HEADER.toUpperCase()]: FOREIGN },
  { [STEER_HEADER]: [FOREIGN, FOREIGN] },
  { [STEER_HEADER]: "payments-a" },
  { [STEER_HEADER]: "no-such-cluster" },
  { [STEER_HEADER]: "" },
  { [STEER_HEADER]: FOREIGN, cookie: "sid=somebody" },
];

/** Asks with every forgery in turn, `rounds` times. */
async function forge(stand: SteeredEnvoy, rounds: number): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (let i = 0; i < rounds; i++) {
    for (const headers of FORGERIES) answers.push(await stand.client.ask("payments", headers));
  }
  return answers;
}

function kinds(answers: readonly Answer[]): string[] {
  return [...new Set(answers.map(({ status, route }) => `${status} ${route}`))];
}

/** None was served by a target that the weights in force do not name, and no backend saw the header. */
function assertUnmoved(stand: SteeredEnvoy, answers: readonly Answer[]): void {
  assert.deepEqual(
    answers.filter(({ cluster }) => cluster !== null && cluster !== "" && !/^payments-[ab]$/.test(cluster)),
    [],
  );
  assert.equal(stand.upstreams.served.get(FOREIGN) ?? 0, 0);
  assert.equal(stand.upstreams.leaked, 0);
}

describe("a client that sends the steering header itself, with the filter at work", { skip }, () => {
  let stand: SteeredEnvoy;
  before(async () => {
    stand = await startSteeredEnvoy(requirements, { slots: SLOTS });
  });
  after(() => stand?.close());

  const drained = { payments: { weights: { "payments-a": 0, "payments-b": 100 } } };

  test("changes nothing while there is no table", async () => {
    const answers = await forge(stand, 10);
    assert.deepEqual(kinds(answers), ["200 static"]);
    assertUnmoved(stand, answers);
  });

  test("changes nothing in mode steer, not even towards a target of the service that is drained", async () => {
    await stand.fleet.release(drained);
    const answers = await forge(stand, 10);
    assert.deepEqual(kinds(answers), ["200 steered"]);
    assert.deepEqual(Object.keys(countServed(answers)), ["payments-b"]);
    assertUnmoved(stand, answers);
  });

  test("takes its place in the order like any other request", async () => {
    await stand.fleet.release({ payments: { weights: { "payments-a": 50, "payments-b": 50 } } });
    const answers = await stand.client.askInTurn("payments", SLOTS, { [STEER_HEADER]: "payments-a" });
    assert.deepEqual(countServed(answers), { "payments-a": SLOTS / 2, "payments-b": SLOTS / 2 });
  });

  test("changes nothing with the kill switch on", async () => {
    await stand.fleet.release(drained);
    await stand.envoy.killSwitch(100);
    const answers = await forge(stand, 10);
    await stand.envoy.killSwitch(0);
    assert.deepEqual(kinds(answers), ["200 static"]);
    assertUnmoved(stand, answers);
  });

  test("changes nothing while the service is observed", async () => {
    await stand.fleet.release({ payments: { ...drained.payments, observe: true } });
    const answers = await forge(stand, 10);
    assert.deepEqual(kinds(answers), ["200 static"]);
    assertUnmoved(stand, answers);
  });

  for (const mode of ["observe", "passthrough"] as const) {
    test(`changes nothing while the fleet is in mode ${mode}`, async () => {
      await stand.fleet.release(drained, mode);
      const answers = await forge(stand, 10);
      assert.deepEqual(kinds(answers), ["200 static"]);
      assertUnmoved(stand, answers);
    });
  }

  test("and the VM never trapped", async () => assert.deepEqual(await stand.envoy.traps(), []));
});

/** The admin endpoint answers when the main thread has the new value; the workers have it some requests later at most. */
const MOST_REQUESTS = 50;

async function withinRequests(stand: SteeredEnvoy, holds: (answer: Answer) => boolean): Promise<void> {
  for (let i = 0; i < MOST_REQUESTS; i++) if (holds(await stand.client.ask("payments"))) return;
  assert.fail(`no effect within ${MOST_REQUESTS} requests`);
}

describe("the kill switch", { skip }, () => {
  let stand: SteeredEnvoy;
  before(async () => {
    stand = await startSteeredEnvoy(requirements, { slots: SLOTS, concurrency: 2 });
    await stand.fleet.release({ payments: { weights: { "payments-a": 0, "payments-b": 100 } } });
  });
  after(() => stand?.close());

  test("takes the requests off the filter at once, and gives them back", async () => {
    for (let i = 0; i < 5; i++) {
      assert.equal((await stand.client.ask("payments")).route, "steered");
      await stand.envoy.killSwitch(100);
      await withinRequests(stand, (answer) => answer.route === "static");
      assert.deepEqual(kinds(await stand.client.askInTurn("payments", 20)), ["200 static"]);
      await stand.envoy.killSwitch(0);
      await withinRequests(stand, (answer) => answer.route === "steered");
    }
  });

  test("half on splits the requests", async () => {
    await stand.envoy.killSwitch(50);
    const answers = await stand.client.askInTurn("payments", 400);
    await stand.envoy.killSwitch(0);
    const off = answers.filter(({ route }) => route === "static").length;
    // A coin per request: seven standard deviations.
    assert.ok(Math.abs(off - 200) < 70, `${off} of 400`);
  });
});

describe("a VM that traps at every request", { skip }, () => {
  let rig: Rig;
  let stand: SteeredEnvoy;
  before(async () => {
    rig = await Rig.open();
    const wasmPath = await trapModule(rig);
    stand = await startSteeredEnvoy(requirements, { wasmPath, subscribed: false });
  });
  after(async () => {
    await stand?.close();
    await rig?.close();
  });

  test("answers 503, which is why there is a kill switch, and obeys no client", async () => {
    const answers = await forge(stand, 5);
    assert.deepEqual(kinds(answers), ["503 static"]);
    assertUnmoved(stand, answers);
    assert.notDeepEqual(await stand.envoy.traps(), []);
  });

  test("is taken out by the kill switch at once: requests flow by the static weights, whatever the client sends", async () => {
    await stand.envoy.killSwitch(100);
    await withinRequests(stand, (answer) => answer.status === 200);
    const answers = await forge(stand, 20);
    assert.deepEqual(kinds(answers), ["200 static"]);
    assert.deepEqual(Object.keys(countServed(answers)).sort(), ["payments-a", "payments-b"]);
    assertUnmoved(stand, answers);
  });
});

describe("a configuration without the filter", { skip }, () => {
  let stand: SteeredEnvoy;
  before(async () => {
    const edit = (listener: Json): void => {
      connectionManager(listener).http_filters.shift();
    };
    stand = await startSteeredEnvoy(requirements, { edit, subscribed: false });
  });
  after(() => stand?.close());

  test("serves by the static weights, whatever the client sends", async () => {
    const answers = await forge(stand, 20);
    assert.deepEqual(kinds(answers), ["200 static"]);
    assert.deepEqual(Object.keys(countServed(answers)).sort(), ["payments-a", "payments-b"]);
    assertUnmoved(stand, answers);
  });
});
