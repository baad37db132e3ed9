import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { BallastError } from "../../../common/errors.ts";
import { routeOf } from "./access-log-request.ts";
import { readHolidays, readSignals } from "./dated-csv.ts";

import { readRouteVisits } from "./route-visits.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-covariates-"));
after(() => rm(scratch, { recursive: true, force: true }));
let files = 0;
async function file(text: string): Promise<string> {
  const path = join(scratch, `${files++}.csv`);
  await writeFile(path, text);
  return path;
}
const refused = async (read: Promise<unknown>, what: RegExp): Promise<void> =>
  assert.rejects(
    read,
    (error: unknown) => error instanceof BallastError && error.code === "COVARIATE_INVALID" && what.test(error.message),
  );

describe("holidays", () => {
  test("are dates with names, known always or since a time", async () => {
    const read = await readHolidays(
      await file('date,name,known_at\n2026-12-25,"Christmas, day",\n2026-06-01,Mourning,2026-05-30T08:00:00Z\n'),
    );
    assert.deepEqual(read, [
      { date: "2026-12-25", name: "Christmas, day", knownAtMs: 0 },
      { date: "2026-06-01", name: "Mourning", knownAtMs: Date.UTC(2026, 4, 30, 8) },
    ]);
  });

  test("are refused with line and reason", async () => {
    await refused(readHolidays(await file("date,name\n2026-02-30,x\n")), /:2: found "2026-02-30", expected a date/);
    await refused(readHolidays(await file("day,name\n")), /:1: no column date/);
    await refused(
      readHolidays(await file("date,name,known_at\n2026-02-03,x,yesterday\n")),
      /:2: known_at is "yesterday"/,
    );
    await refused(readHolidays(await file("date,name\n2026-02-03\n")), /:2: 1 cells; expected 2/);
    await refused(readHolidays(await file("")), /an empty file/);
    await refused(readHolidays(join(scratch, "absent")), /ENOENT/);
  });
});

describe("signals", () => {
  const head = "signal,service,start,end,value,known_at\n";

  test("without known_at count as known when they begin", async () => {
    const [ahead, late] = await readSignals(
      await file(
        `${head}premiere,,2026-04-12T21:00:00-04:00,2026-04-12T22:00:00-04:00,1,2026-01-01T00:00:00Z\nviewers,video,2026-04-12T21:00:00-04:00,2026-04-12T22:00:00-04:00,6.6,\n`,
      ),
    );
    assert.deepEqual([ahead!.service, ahead!.value, ahead!.knownAtMs], [null, 1, Date.UTC(2026, 0, 1)]);
    assert.deepEqual([late!.service, late!.knownAtMs], ["video", Date.UTC(2026, 3, 13, 1)]);
  });

  test("are refused with line and reason", async () => {
    const row = (cells: string) => file(`${head}${cells}\n`);
    const span = "2026-04-12T21:00:00Z,2026-04-12T22:00:00Z";
    await refused(readSignals(await row(`Big Day,,${span},1,`)), /:2: found "Big Day", expected a name/);
    await refused(
      readSignals(await row(`a,,2026-04-12T22:00:00Z,2026-04-12T21:00:00Z,1,`)),
      /:2: it ends before it begins/,
    );
    await refused(readSignals(await row(`a,,${span},many,`)), /:2: found "many", expected a number/);
    await refused(
      readSignals(await row(`a,,2026-04-12 21:00,2026-04-12T22:00:00Z,1,`)),
      /:2: start is "2026-04-12 21:00"/,
    );
  });
});

describe("route visits", () => {
  test("come from JSON lines with their service and from combined lines without", async () => {
    const json = (more: object) =>
      JSON.stringify({
        start_time: "2026-04-12T21:00:00Z",
        path: "/cart/42?q=1",
        downstream_remote_address: "10.0.0.7:5512",
        route_name: "shop",
        ...more,
      });
    const one = await readRouteVisits(
      await file(`${json({})}\n${json({ downstream_remote_address: "10.0.0.7:6000", path: "/pay" })}\n`),
      null,
    );
    assert.deepEqual(one, {
      visits: new Map([
        [
          "shop",
          [
            { atMs: Date.UTC(2026, 3, 12, 21), client: "0", route: "/cart/*" },
            { atMs: Date.UTC(2026, 3, 12, 21), client: "0", route: "/pay" },
          ],
        ],
      ]),
      unreadable: 0,
    });
    const line = '83.149.9.216 - - [17/May/2015:10:05:03 +0200] "GET /a/b.png HTTP/1.1" 200 203023 "-" "x"\n';
    const two = await readRouteVisits(await file(line), "site");
    assert.deepEqual(
      [...two.visits],
      [["site", [{ atMs: Date.UTC(2015, 4, 17, 8, 5, 3), client: "0", route: "/a/b.png" }]]],
    );
  });

  test("a file that is something else is refused", async () => {
    await refused(readRouteVisits(await file("hello\nworld\n"), "site"), /2 of 2 lines are no request/);
    await refused(readRouteVisits(await file("\n"), "site"), /an empty file/);
    await refused(readRouteVisits(join(scratch, "absent"), "site"), /ENOENT/);
  });

  test("a route is bounded and holds no query, number or long hexadecimal part", () => {
    assert.equal(routeOf("/user/8f14e45fceea167a5a36dedd4bea2543/x?token=1"), "/user/*/x");
    assert.equal(routeOf("/mail/jane@example.org"), "/mail/*");
    fc.assert(
      fc.property(fc.string({ maxLength: 400 }), (path) => {
        const route = routeOf(path);
        return route.length > 0 && route.length <= 120 && !/[?#]/.test(route);
      }),
    );
  });
});
