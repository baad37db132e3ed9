import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { calendar } from "./calendar.ts";
import { DEFAULT_GROUPS, isOnByDefault, MEASURED, possibleGroups, type Worth } from "./choose-groups.ts";
import { fitGroups, GROUPS, groupColumns, groupNeeds } from "./grouped-inputs.ts";
import { all, empty, fitToMs, wholeWorld } from "./groups.fixture.ts";
import { velocity } from "./velocity.ts";
import type { World } from "./world.ts";

describe("the default list", () => {
  const worth = (kind: Worth["kind"], low: number, high: number): Worth => ({
    group: "g",
    on: "x",
    kind,
    wqlPercent: (low + high) / 2,
    interval: [low, high],
  });

  test("holds a group that helped on found data, or only in its world where there is none, and hurt nowhere", () => {
    assert.equal(isOnByDefault("g", [worth("world", -9, -1)]), true);
    assert.equal(isOnByDefault("g", [worth("world", -9, -1), worth("found", -2, 1)]), false);
    assert.equal(isOnByDefault("g", [worth("world", -9, 1), worth("found", -2, -1)]), true);
    assert.equal(isOnByDefault("g", [worth("found", -2, -1), worth("world", 1, 3)]), false);
    assert.equal(isOnByDefault("g", []), false);
  });

  test("and the worth of each group are documented as they were measured, and every column is", async () => {
    const read = (path: string) => readFile(new URL(`../../../${path}`, import.meta.url), "utf8");
    const [text, results] = await Promise.all([read("docs/reference/features.md"), read("bench/RESULTS.md")]);
    const rows = results.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
    for (const { group, on, kind, wqlPercent, interval } of MEASURED) {
      const row = rows.find((cells) => cells[1] === group && cells[2] === on && cells[3] === kind);
      const [change = "", range = ""] = row?.slice(6, 8) ?? [];
      assert.ok(text.includes(`| ${on} (${kind}) | ${change} (${range}) |`), `${group}, ${on}: ${change} (${range})`);
      // Both files round the same number, one to two digits and one to one.
      const printed = [change, ...range.split(" … ")].map((figure) => Number(figure.replace("−", "-")));
      for (const [i, exact] of [wqlPercent, ...interval].entries())
        assert.ok(Math.abs(printed[i]! - exact) <= 0.0551, `${group}, ${on}: ${printed[i]} for ${exact}`);
    }
    for (const { name } of GROUPS) {
      assert.ok(
        MEASURED.some(({ group }) => group === name),
        `${name} was not measured`,
      );
      assert.ok(text.includes(`| ${name} | ${DEFAULT_GROUPS.includes(name) ? "on" : "off"} |`), name);
    }
    for (const { name } of groupColumns(fitGroups(all, wholeWorld(), fitToMs)))
      assert.ok(text.includes(name.replace("signal_promo", "signal_NAME")) || /^behaviour_mix_/.test(name), name);
  });

  test("a model's needs are those of what it was fitted on", () => {
    assert.deepEqual(groupNeeds(fitGroups([calendar, velocity], empty, fitToMs)), []);
    assert.deepEqual(
      groupNeeds(fitGroups(all, wholeWorld(), fitToMs)).map(({ name }) => name),
      ["calendar", "coupling", "change", "behaviour", "signals"],
    );
  });

  test("only of groups that have data here", () => {
    const names = (world: World) => possibleGroups(world).map(({ name }) => name);
    assert.deepEqual(names(empty), ["calendar", "velocity"]);
    assert.deepEqual(
      names(wholeWorld()),
      GROUPS.map(({ name }) => name),
    );
  });
});
