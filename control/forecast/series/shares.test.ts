import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CLASSICAL_MEDIAN } from "./classical-median.ts";
import type { LossRecord } from "./loss-record.ts";
import { COMBINATION, REFERENCE } from "./members.ts";
import { type MixtureShares, sharesOfMembers } from "./shares.ts";

/** Windows of 10 steps without overlap, in which each name has the same losses. */
function record(windows: number, losses: Readonly<Record<string, { mase: number; loss: number }>>): LossRecord {
  return {
    horizon: 10,
    starts: Array.from({ length: windows }, (_, i) => 100 + 10 * i),
    observed: new Array(windows).fill(true),
    singles: new Map(Object.entries(losses).map(([name, loss]) => [name, new Array(windows).fill(loss)])),
  };
}

const alike = { mase: 1, loss: 0.3 };
const worse = (times: number) => ({ mase: times, loss: 0.3 * times });
const sum = (shares: MixtureShares["middle"]) => [...shares.values()].reduce((all, share) => all + share, 0);

describe("the shares of members", () => {
  const losses = { [REFERENCE]: worse(1.5), [COMBINATION]: alike, [CLASSICAL_MEDIAN]: worse(1.3) };
  const median = (windows: number, times = 1.3) => {
    const all = { ...losses, [CLASSICAL_MEDIAN]: worse(times) };
    const { middle, width } = sharesOfMembers(record(windows, all), record(4, all), 0, 24);
    assert.ok(Math.abs(sum(middle) - 1) < 1e-9 && Math.abs(sum(width) - 1) < 1e-9);
    return middle.get(CLASSICAL_MEDIAN)!;
  };

  test("lie with the classical median while little is known, and less the more is", () => {
    assert.ok(median(2) > 0.7 && median(6) > 0.45 && median(24) < 0.1, `${median(2)}, ${median(6)}, ${median(24)}`);
  });

  test("do not lie with it where it is far worse than the best, however little is known", () => {
    assert.ok(median(2, 20) < 0.02, `${median(2, 20)}`);
  });

  test("are its and seasonal naive's until anything is known, and seasonal naive's where it cannot answer", () => {
    const none = sharesOfMembers(record(0, losses), record(4, losses), 0, 24);
    assert.deepEqual(
      [...none.middle],
      [
        [REFERENCE, 0.25],
        [CLASSICAL_MEDIAN, 0.75],
      ],
    );
    const short = { [REFERENCE]: alike, naive: alike };
    assert.deepEqual([...sharesOfMembers(record(0, short), record(4, short), 0, 24).middle], [[REFERENCE, 1]]);
  });

  test("of the median follow the MASE, and those of the width the pinball loss", () => {
    const split = { [REFERENCE]: worse(2), a: { mase: 1, loss: 0.33 }, b: { mase: 1.1, loss: 0.3 } };
    const { middle, width } = sharesOfMembers(record(24, split), record(4, split), 0, 24);
    assert.ok(middle.get("a")! > middle.get("b")! && width.get("b")! > width.get("a")!);
  });

  test("count naive once where nothing repeats, as it is seasonal naive there", () => {
    const twice = { [REFERENCE]: alike, naive: alike, [COMBINATION]: alike };
    assert.ok(!sharesOfMembers(record(24, twice), record(4, twice), 0, 1).middle.has("naive"));
    assert.ok(sharesOfMembers(record(24, twice), record(4, twice), 0, 24).middle.has("naive"));
  });
});
