import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { makePythonEnvironment, runLines, treesDir } from "./environment.ts";

const venv = join(treesDir, "../../.ballast/venv");
/** In CI the environment is made, and the test fails where it cannot be. */
const skip =
  (process.env.CI ?? "") !== "" || existsSync(venv)
    ? false
    : "the training environment is not installed (ballast train --pipeline demand makes it)";
const scratch = await mkdtemp(join(tmpdir(), "ballast-monotone-"));
after(() => rm(scratch, { recursive: true, force: true }));

/**
 * Column 0 raises the target on the whole, but it falls between the crests of a sine; column 1 lowers it; column 2 goes up and down. Prints, as JSON,
 * the largest fall of any level where a column with a sign moves its way, the median's error, and the same of XGBoost's own constraints.
 */
const SCRIPT = `
import json, sys
sys.path.insert(0, sys.argv[1])
from threads import THREADS
import numpy as np, xgboost
import monotone

random, levels, signs, rounds = np.random.default_rng(5), [0.1, 0.5, 0.9], [1, -1, 0], 30
rows = random.uniform(-2, 2, (4000, 3)).astype(np.float32)
rows[random.random(rows.shape) < 0.05] = np.nan
clean = np.nan_to_num(rows)
truth = clean[:, 0] + 0.8 * np.sin(5 * clean[:, 0]) - clean[:, 1] + np.abs(clean[:, 2])
target = truth + random.normal(0, 0.3, len(rows))
margin = np.repeat(clean[:, 0, None], 3, axis=1) * 0
data = xgboost.QuantileDMatrix(rows, label=target, base_margin=margin, max_bin=64, nthread=THREADS)
parameters = {"objective": "reg:quantileerror", "quantile_alpha": levels, "tree_method": "hist", "max_bin": 64, "max_depth": 4,
              "eta": 0.2, "subsample": 0.7, "seed": 1, "nthread": THREADS}

def told(booster):
    ask = lambda at: booster.predict(xgboost.DMatrix(at, base_margin=np.zeros((len(at), 3), np.float32), nthread=THREADS), output_margin=True)
    fall = 0.0
    for column, sign in enumerate(signs):
        before = None
        for value in np.linspace(-3, 3, 41, dtype=np.float32) * (sign or 1):
            at = rows[:300].copy()
            at[:, column] = value
            now = ask(at)
            if sign and before is not None:
                fall = max(fall, float((before - now).max()))
            before = now
    return {"fall": fall, "error": float(np.abs(ask(rows)[:, 1] - truth).mean()), "rounds": booster.num_boosted_rounds()}

def bounded(signs):
    data.set_base_margin(margin)
    return monotone.train(parameters, data, margin, rounds, signs)

first = bounded(signs)
own = xgboost.train(parameters | {"monotone_constraints": "(1,-1,0)"},
                    xgboost.QuantileDMatrix(rows, label=target, base_margin=margin, max_bin=64, nthread=THREADS), rounds)
print(json.dumps({"bounded": told(first), "own": told(own), "free": told(bounded([0, 0, 0])),
                  "same": first.save_raw("json") == bounded(signs).save_raw("json")}))
`;

interface Told {
  fall: number;
  error: number;
  rounds: number;
}

test("quantile trees keep their signs at every level and learn the rest, which XGBoost's own constraints do not see to", {
  skip,
}, async () => {
  const python = await makePythonEnvironment(venv, () => undefined);
  const script = join(scratch, "told.py");
  await writeFile(script, SCRIPT);
  const lines = await runLines(python, [script, treesDir]);
  const { bounded, own, free, same } = JSON.parse(lines.at(-1)!) as Record<"bounded" | "own" | "free", Told> & {
    same: boolean;
  };
  assert.equal(bounded.fall, 0);
  assert.equal(bounded.rounds, 30);
  assert.ok(bounded.error < 0.6, `the median errs by ${bounded.error}, the sine that it may not follow by 0.5`);
  assert.ok(own.fall > 0.01, "XGBoost keeps the signs by itself: models/trees/monotone.py is not needed any more");
  assert.ok(free.fall > 0.1, "without signs the sine is followed");
  assert.ok(free.error < 0.25 && free.error < bounded.error);
  assert.ok(same, "the same seed gives the same trees");
});
