import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { TargetWindow } from "../../control/estate/estate.ts";
import { PPM } from "../../control/plan/plan.ts";
import { type Inputs, loadInputs } from "../../control/serve/inputs.ts";
import { simulatePlans } from "../../control/serve/simulate.ts";
import { otherEstate } from "./fixture/estates.ts";
import { Rig } from "./fixture/rig.ts";

/**
 * Calendars that nobody prepared the planner for, each generated as an export and planned through over the demo's day, without
 * forecast and telemetry: what moves is what the calendar moves. The demo's seconds are five minutes each.
 */
const STEP_MS = 300_000;
const STEPS = 140;
const AFFECTED = ["payments-site-b", "ledger-site-b"];

interface Share {
  weightPpm: number;
  stickyPpm: number;
  basePpm: number;
}

interface Day {
  inputs: Inputs;
  /** Per step of five minutes: the planned shares by target. */
  steps: Map<string, Share>[];
  why: string[][];
  at: (second: number) => number;
  windows: (target: string) => readonly TargetWindow[];
}

let rig: Rig;
before(async () => {
  rig = await Rig.open();
});
after(() => rig.close());

async function day(...flags: string[]): Promise<Day> {
  const config = await otherEstate(rig, "--weeks", "1", ...flags);
  const inputs = await loadInputs(config, (read) => read.clock!.startMs);
  const { startMs, rate } = inputs.config.clock!;
  const steps: Day["steps"] = [];
  const why: string[][] = [];
  for await (const { plan } of simulatePlans({
    services: inputs.services,
    history: inputs.history,
    forecaster: null,
    chain: "baseline",
    fromMs: startMs,
    toMs: startMs + STEPS * STEP_MS,
    stepMs: STEP_MS,
  })) {
    const services = [...plan.services.values()];
    steps.push(new Map(services.flatMap(({ targets }) => targets.map((target) => [target.name, target]))));
    why.push(services.map((service) => service.why));
    for (const { name, targets } of services) {
      assert.equal(
        targets.reduce((sum, { weightPpm }) => sum + weightPpm, 0),
        PPM,
        name,
      );
      for (const { basePpm, weightPpm, causes } of targets) {
        assert.equal(
          causes.reduce((sum, { effectPpm }) => sum + effectPpm, 0),
          weightPpm - basePpm,
          name,
        );
      }
    }
  }
  const windows = new Map(
    [...inputs.estate.services.values()].flatMap(({ targets }) =>
      targets.map((target) => [target.name, target.windows]),
    ),
  );
  return {
    inputs,
    steps,
    why,
    at: (second) => Math.round((second * 1000 * rate) / STEP_MS),
    windows: (target) => windows.get(target) ?? [],
  };
}

function isOff({ weightPpm, stickyPpm }: Share): boolean {
  return weightPpm === 0 && stickyPpm === 0;
}

function isAtBase({ weightPpm, stickyPpm, basePpm }: Share): boolean {
  return weightPpm === basePpm && stickyPpm === basePpm;
}

/** Off from the lead time before the window opens until it ends, at base long before and some time after, in limited steps. */
function assertMovedAround({ steps, at, inputs }: Day, targets: readonly string[], windows: [number, number][]): void {
  const { leadTimeMs, stepLimitPpm } = inputs.config.policy;
  for (const target of targets) {
    const shares = steps.map((step) => step.get(target)!);
    for (const [from, to] of windows) {
      for (let i = Math.max(0, at(from) - leadTimeMs / STEP_MS); i < at(to); i++) {
        assert.ok(isOff(shares[i]!), `${target} at step ${i}: ${JSON.stringify(shares[i])}`);
      }
    }
    const [first] = windows[0]!;
    // Two hours before the first window nothing has begun, if the day is that long before it.
    for (let i = 0; i < at(first) - 24; i++) assert.ok(isAtBase(shares[i]!), `${target} already moves at step ${i}`);
    const last = Math.max(...windows.map(([, to]) => to));
    // Half the share in steps of a fifth, ten minutes apart, after ten healthy ones: within two hours.
    for (let i = at(last) + 24; i < shares.length; i++) assert.ok(isAtBase(shares[i]!), `${target} at step ${i}`);
    for (let i = at(last); i < shares.length - 1; i++) {
      assert.ok(shares[i + 1]!.weightPpm - shares[i]!.weightPpm <= stepLimitPpm, `${target} leaps at step ${i}`);
    }
  }
  assertStill(steps, (name) => !targets.some((target) => target.split("-")[0] === name.split("-")[0]));
}

function assertStill(steps: Day["steps"], which: (target: string) => boolean = () => true): void {
  for (const [i, step] of steps.entries()) {
    for (const [name, share] of step) if (which(name)) assert.ok(isAtBase(share), `${name} moves at step ${i}`);
  }
}

describe("a change on the path moves traffic before it opens and brings it home after it", () => {
  const cases: { what: string; flags: string[]; windows: [number, number][]; targets?: string[] }[] = [
    { what: "as in the demo", flags: [], windows: [[35, 65]] },
    { what: "moved", flags: ["--window", "50:80"], windows: [[50, 80]] },
    { what: "shortened to five seconds", flags: ["--window", "40:45"], windows: [[40, 45]] },
    { what: "one minute of the calendar long", flags: ["--window", "40:40.2"], windows: [[40, 40.2]] },
    { what: "so early that hardly any time is left", flags: ["--window", "16:30"], windows: [[16, 30]] },
    {
      what: "followed by another",
      flags: ["--double"],
      windows: [
        [35, 65],
        [80, 95],
      ],
    },
    {
      what: "overlapped by another",
      flags: ["--overlap"],
      windows: [
        [35, 65],
        [50, 75],
      ],
    },
    {
      what: "twice, back to back",
      flags: ["--window", "40:50", "--window", "50:60"],
      windows: [
        [40, 50],
        [50, 60],
      ],
    },
    {
      what: "on the site's other service",
      flags: ["--on", "san-c"],
      windows: [[35, 65]],
      targets: ["quotes-site-b", "quotes-newhw"],
    },
  ];
  for (const { what, flags, windows, targets = AFFECTED } of cases) {
    test(what, async () => {
      const planned = await day(...flags);
      for (const target of targets) assert.equal(planned.windows(target).length, windows.length);
      assertMovedAround(planned, targets, windows);
      assert.ok(planned.why[planned.at(windows[0]![0])]!.some((why) => /CHG\d+/.test(why)));
    });
  }
});

describe("nothing moves for a change that", () => {
  for (const [what, flag] of [
    ["was cancelled", "--cancel"],
    ["was rejected", "--reject"],
    ["is not approved", "--unapproved"],
    ["lies on a CI that no target depends on", "--off-path"],
    ["is not there at all", "--no-windows"],
  ] as const) {
    test(what, async () => {
      const planned = await day(flag);
      assertStill(planned.steps);
      assert.deepEqual(planned.inputs.estate.findings, []);
    });
  }
});

test("with every CI renamed the plans are the same", async () => {
  const [plain, renamed] = [await day(), await day("--rename", "-2026 (migriert)")];
  assert.deepEqual(
    renamed.steps.map((step) => [...step].map(([name, { weightPpm, stickyPpm }]) => [name, weightPpm, stickyPpm])),
    plain.steps.map((step) => [...step].map(([name, { weightPpm, stickyPpm }]) => [name, weightPpm, stickyPpm])),
  );
});

test("a relation entered the wrong way round is reported, and the service whose relation is right still moves", async () => {
  const planned = await day("--reverse-relation");
  const finding = planned.inputs.estate.findings.find(({ code }) => code === "RELATION_REVERSED");
  assert.equal(finding?.severity, "error");
  assert.match(finding.provenance!.file, /cmdb_rel_ci\.json$/);
  assert.ok(finding.provenance!.line > 0);
  assertMovedAround(planned, ["ledger-site-b"], [[35, 65]]);
});
