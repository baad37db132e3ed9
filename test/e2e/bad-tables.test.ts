import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { xxh64 } from "../../common/xxh64.ts";
import { tableDigest } from "../../control/table/codec.ts";
import { makeSet, setDigest } from "../../control/table/set.ts";
import type { EncodedTable, TableSet } from "../../control/table/table.ts";
import { versionOf } from "../../control/xds/resources.ts";
import { countServed } from "./fixture/client.ts";
import { requireEnvoy } from "./fixture/requirements.ts";
import { type SteeredEnvoy, startSteeredEnvoy } from "./fixture/steered-envoy.ts";
import { until } from "./fixture/wait.ts";

const requirements = await requireEnvoy();
const SLOTS = 256;
const DIGEST_OFFSET = 16;
const LENGTH_OFFSET = 12;
/** Of `quotes`: the first target's name begins after the header, the service's name and two lengths. */
const SERVICE_NAME_OFFSET = 26;
const FIRST_TARGET_OFFSET = SERVICE_NAME_OFFSET + "quotes".length;
const FIRST_QUOTAS_OFFSET = FIRST_TARGET_OFFSET + 2 + "quotes-a".length;

/** A sound table with one fault; `named` is the digest under which it is announced and sent. */
interface Fault {
  what: string;
  reason: string;
  spoil(bytes: Uint8Array): { bytes: Uint8Array; named?: bigint };
  /** False: the digest is made to fit again, so that the check behind it is the one that refuses. */
  leaveDigest?: boolean;
}

const edit =
  (change: (view: DataView, bytes: Uint8Array) => void) =>
  (sound: Uint8Array): { bytes: Uint8Array } => {
    const bytes = sound.slice();
    change(new DataView(bytes.buffer), bytes);
    return { bytes };
  };

const FAULTS: Fault[] = [
  {
    what: "a flipped bit",
    reason: "TABLE_DIGEST",
    leaveDigest: true,
    spoil: edit((_, bytes) => {
      bytes[bytes.length - 100]! ^= 1;
    }),
  },
  {
    what: "a digest in its head that is not its own",
    reason: "TABLE_DIGEST",
    leaveDigest: true,
    spoil: edit((view) => view.setBigUint64(DIGEST_OFFSET, 0x1234n, true)),
  },
  {
    what: "bytes that are sound, but sent under another digest",
    reason: "TABLE_DIGEST",
    spoil: (bytes) => ({ bytes, named: 0x5678n }),
  },
  {
    what: "a target missing, so that the quotas do not fill the slots",
    reason: "TABLE_QUOTA",
    spoil: edit((view) => {
      view.setUint16(FIRST_QUOTAS_OFFSET, view.getUint16(FIRST_QUOTAS_OFFSET, true) - 1, true);
      view.setUint16(FIRST_QUOTAS_OFFSET + 2, view.getUint16(FIRST_QUOTAS_OFFSET + 2, true) - 1, true);
    }),
  },
  {
    what: "quotas that sum up but are not those of the slots",
    reason: "TABLE_QUOTA",
    spoil: edit((_, bytes) => {
      const orderStart = bytes.length - SLOTS;
      const other = bytes.indexOf(1, orderStart);
      bytes[other] = 0;
    }),
  },
  {
    what: "a slot that names no target",
    reason: "TABLE_INDEX",
    spoil: edit((_, bytes) => {
      bytes[bytes.length - 1] = 200;
    }),
  },
  {
    what: "an end that is cut off",
    reason: "TABLE_LENGTH",
    leaveDigest: true,
    spoil: (bytes) => ({ bytes: bytes.slice(0, bytes.length - 10) }),
  },
  {
    what: "an end that is cut off, with a length and a digest that fit",
    reason: "TABLE_LENGTH",
    spoil: (sound) => {
      const bytes = sound.slice(0, sound.length - 10);
      new DataView(bytes.buffer).setUint32(LENGTH_OFFSET, bytes.length, true);
      return { bytes };
    },
  },
  {
    what: "nothing but a head",
    reason: "TABLE_LENGTH",
    leaveDigest: true,
    spoil: (bytes) => ({ bytes: bytes.slice(0, 20) }),
  },
  {
    what: "a line break in a target's name",
    reason: "TABLE_NAME",
    spoil: edit((_, bytes) => {
      bytes[FIRST_TARGET_OFFSET + 3] = 10;
    }),
  },
  {
    what: "the same target twice",
    reason: "TABLE_DUPLICATE",
    spoil: edit((_, bytes) => {
      const second = FIRST_QUOTAS_OFFSET + 5;
      bytes[second + 2 + "quotes-b".length - 1] = "a".charCodeAt(0);
    }),
  },
  {
    what: "another version of the format",
    reason: "TABLE_VERSION",
    spoil: edit((view) => view.setUint16(4, 2, true)),
  },
  {
    what: "a number of slots that is no power of two",
    reason: "TABLE_SLOTS",
    spoil: edit((view) => view.setUint16(8, 300, true)),
  },
  {
    what: "the name of another service inside",
    reason: "TABLE_SERVICE",
    spoil: edit((_, bytes) => {
      bytes[SERVICE_NAME_OFFSET] = "Q".charCodeAt(0);
    }),
  },
];

describe("a set that is not sound", { skip: requirements.skip }, () => {
  let stand: SteeredEnvoy;
  const even = { "quotes-a": 50, "quotes-b": 25, "quotes-n": 25 };
  /** Weights of the last good epoch. */
  let serving: Record<string, number>;
  let turn = 0;

  before(async () => {
    stand = await startSteeredEnvoy(requirements, { slots: SLOTS, concurrency: 2 });
    await stand.fleet.release({ quotes: { weights: even } });
    serving = even;
  });
  after(() => stand?.close());

  /** Stages what no codec of ours would write; the node must refuse it and say why. */
  async function assertRefused(set: TableSet, reason: RegExp): Promise<void> {
    const { fleet } = stand;
    const outcome = await fleet.stage(set);
    assert.equal(outcome.result, "refused", outcome.reason);
    const node = fleet.xds.fleet.nodes()[0]!;
    assert.match(outcome.reason, reason);
    assert.match(node.lastNack?.reason ?? "", reason);
    assert.equal(outcome.version, versionOf(fleet.epoch, set.digest));
  }

  async function assertServing(): Promise<void> {
    const answers = await stand.client.askInTurn("quotes", SLOTS);
    const want = Object.entries(serving).map(([name, percent]) => [name, (percent * SLOTS) / 100]);
    assert.deepEqual(countServed(answers), Object.fromEntries(want));
  }

  async function assertGoodEpochWorks(): Promise<void> {
    serving = turn++ % 2 === 0 ? { "quotes-a": 25, "quotes-b": 50, "quotes-n": 25 } : even;
    await stand.fleet.release({ quotes: { weights: serving } });
    await assertServing();
  }

  for (const { what, reason, spoil, leaveDigest } of FAULTS) {
    test(`with ${what} is refused as ${reason}, the old one goes on serving, the next good one works`, async () => {
      const sound = stand.fleet
        .draft({ quotes: { weights: { "quotes-a": 40, "quotes-b": 40, "quotes-n": 20 } } })
        .get("quotes")!.encoded;
      const spoilt = spoil(sound.bytes);
      const { bytes } = spoilt;
      if (!leaveDigest && spoilt.named === undefined) {
        new DataView(bytes.buffer).setBigUint64(DIGEST_OFFSET, tableDigest(bytes), true);
      }
      const inHead = bytes.length < 24 ? sound.digest : new DataView(bytes.buffer).getBigUint64(DIGEST_OFFSET, true);
      const table: EncodedTable = { service: "quotes", digest: spoilt.named ?? inHead, bytes };
      await assertRefused(makeSet([table]), new RegExp(`${reason}: `));
      await assertServing();
      await assertGoodEpochWorks();
    });
  }

  test("with one bad table beside a good one is refused as a whole", async () => {
    const { fleet } = stand;
    const drafts = fleet.draft({
      payments: { weights: { "payments-a": 10, "payments-b": 90 } },
      quotes: { weights: { "quotes-a": 10, "quotes-b": 10, "quotes-n": 80 } },
    });
    const bad = drafts.get("quotes")!.encoded;
    bad.bytes[bad.bytes.length - 1]! ^= 1;
    await assertRefused(makeSet([drafts.get("payments")!.encoded, bad]), /TABLE_DIGEST: /);
    await assertServing();
    assert.equal((await stand.client.ask("payments")).route, "static");
    await assertGoodEpochWorks();
  });

  test("with a digest of the set that is not that of its list is refused as SET_DIGEST", async () => {
    const sound = stand.fleet.draft({ quotes: { weights: even } }).get("quotes")!.encoded;
    await assertRefused({ digest: 0xabcdn, tables: [sound] }, /SET_DIGEST: /);
    await assertServing();
    await assertGoodEpochWorks();
  });

  test("with a line break in a service's name is refused as SET_NAME", async () => {
    const bytes = stand.fleet.draft({ quotes: { weights: even } }).get("quotes")!.encoded.bytes;
    const tables = [{ service: "quo\ntes", digest: xxh64(bytes), bytes }];
    await assertRefused({ digest: setDigest(tables), tables }, /SET_NAME: /);
    await assertServing();
    await assertGoodEpochWorks();
  });

  test("with its services out of order is refused as SET_ORDER", async () => {
    const drafts = stand.fleet.draft({
      payments: { weights: { "payments-a": 10, "payments-b": 90 } },
      quotes: { weights: even },
    });
    const tables = [drafts.get("quotes")!.encoded, drafts.get("payments")!.encoded];
    await assertRefused({ digest: setDigest(tables), tables }, /SET_ORDER: /);
    await assertServing();
    await assertGoodEpochWorks();
  });

  test("leaves no trace: no trap, no second stream, refusals counted", async () => {
    const { envoy, fleet } = stand;
    assert.deepEqual(await envoy.traps(), []);
    assert.equal(fleet.xds.streams(), 1);
    // One table was refused per fault, and one beside a good one; the other three sets were refused by their lists.
    const refused = FAULTS.length + 1;
    const counted = async (): Promise<number> =>
      [...(await envoy.stats("ballast.refused.TABLE_")).values()].reduce((sum, count) => sum + count, 0);
    await until("the counters are flushed", async () => (await counted()) >= refused);
    assert.equal(await counted(), refused);
  });
});
