import { PPM } from "../plan/plan.ts";
import type { Policy, TargetConfig } from "./config.ts";
import { policyFieldOf } from "./policy.ts";
import type { Section } from "./yaml-reader.ts";

/**
 * Rules that tie several fields of one service together: each says that some plan can satisfy all bounds at once.
 * A rule whose fields could not be read is left out; their own mistakes are reported already. A mistake that lies in the
 * file's common policy alone is reported for every service it hits, at the common field.
 */
export function checkBounds(input: {
  service: Section;
  /** The file's common `policy`, and the service's own. */
  policySection: Section | undefined;
  ownPolicy: Section | undefined;
  targetsSection: Section;
  targets: ReadonlyMap<string, TargetConfig> | undefined;
  policy: Partial<Policy>;
  sessionsSection: Section | undefined;
  moveBeforeMs: number | undefined;
}): void {
  const { targetsSection, targets, policy, sessionsSection, moveBeforeMs } = input;
  const { floorPpm, capPpm, stepLimitPpm, hysteresisPpm, leadTimeMs } = policy;
  const count = targetsSection.names().length;

  /** Reports at the field that set the value: the service's own, else the common one, else the targets. */
  const reject = (key: keyof Policy, found: string, expected: string): void => {
    const field = policyFieldOf(key);
    if (input.ownPolicy?.has(field)) input.ownPolicy.reject(field, found, expected);
    else if (input.policySection?.has(field)) input.policySection.reject(field, found, expected);
    else targetsSection.reject(undefined, found, expected);
  };

  const ordered = floorPpm === undefined || capPpm === undefined || floorPpm <= capPpm;
  if (!ordered)
    reject("floorPpm", `floor ${percent(floorPpm)} above cap ${percent(capPpm)}`, "a floor not above the cap");
  if (ordered && floorPpm !== undefined && floorPpm * count > PPM) {
    const found = `floor ${percent(floorPpm)} for the ${count} targets of ${targetsSection.path}: ${percent(floorPpm * count)} in sum`;
    reject("floorPpm", found, `floors that sum to at most 100%, so at most ${percent(Math.floor(PPM / count))} each`);
  }
  if (ordered && count > 0 && capPpm !== undefined && capPpm * count < PPM) {
    const found = `cap ${percent(capPpm)} for the ${count} targets of ${targetsSection.path}: room for ${percent(capPpm * count)}`;
    reject("capPpm", found, `caps with room for 100%, so at least ${percent(Math.ceil(PPM / count))} each`);
  }
  if (stepLimitPpm !== undefined && hysteresisPpm !== undefined && hysteresisPpm > stepLimitPpm) {
    const found = `hysteresis ${percent(hysteresisPpm)} above stepLimit ${percent(stepLimitPpm)}: no step could ever be taken`;
    reject("hysteresisPpm", found, "a hysteresis not above the stepLimit");
  }
  if (moveBeforeMs !== undefined && leadTimeMs !== undefined && moveBeforeMs < leadTimeMs) {
    const found = `moveBefore ${minutes(moveBeforeMs)} below leadTime ${minutes(leadTimeMs)}`;
    sessionsSection?.reject("moveBefore", found, "sessions that leave no later than all traffic must have left");
  }
  if (targets === undefined || count === 0) return;

  let sum = 0;
  for (const target of targets.values()) {
    sum += target.basePpm;
    checkBase(targetsSection, target, floorPpm, capPpm, ordered);
  }
  if (sum !== PPM) {
    targetsSection.reject(undefined, `base weights that sum to ${percent(sum)}`, "base weights that sum to 100%");
  }
}

function checkBase(
  targetsSection: Section,
  target: TargetConfig,
  floorPpm: number | undefined,
  capPpm: number | undefined,
  ordered: boolean,
): void {
  if (!ordered) return;
  const section = targetsSection.openedSection(target.name);
  if (floorPpm !== undefined && target.basePpm < floorPpm) {
    const found = `base ${percent(target.basePpm)} below floor ${percent(floorPpm)}`;
    section?.reject("base", found, "a base weight inside floor and cap");
  }
  if (capPpm !== undefined && target.basePpm > capPpm) {
    section?.reject(
      "base",
      `base ${percent(target.basePpm)} above cap ${percent(capPpm)}`,
      "a base weight inside floor and cap",
    );
  }
}

function percent(ppm: number | undefined): string {
  return `${(ppm ?? 0) / 10_000}%`;
}

function minutes(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000}m` : `${ms / 1000}s`;
}
