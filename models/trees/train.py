"""Trains the demand model on rows that the TypeScript feature builder wrote, and exports it.

Reads  --rows FILE  float32 little-endian, row-major: the features, then the target; NaN = missing
       --spec FILE  JSON: columns, anchor (column index), monotone (one of -1, 0, 1 per feature), levels, seed, schema_hash, rounds,
                     depth, eta
Writes into --out: demand.onnx, training.json (what was trained and how close the export is), parity.json (golden rows)

Ends with status 1 and the reason when the exported file does not compute what the booster computes. Computes no feature.
"""

import json
import sys

# First: see there.
from threads import THREADS

import numpy as np
import xgboost

import monotone
from onnx_export import build_model
from run_files import largest_difference, parity_rows, progress, read_run, write_run

PARITY_ROWS = 10_000


def train(features: np.ndarray, target: np.ndarray, spec: dict) -> xgboost.Booster:
    rounds, margin = spec["rounds"], margin_of(features, spec)
    data = xgboost.QuantileDMatrix(features, label=target, base_margin=margin, max_bin=128, nthread=THREADS)
    parameters = {
        "objective": "reg:quantileerror",
        "quantile_alpha": spec["levels"],
        "tree_method": "hist",
        "max_bin": 128,
        "max_depth": spec["depth"],
        "eta": spec["eta"],
        "min_child_weight": 40,
        "subsample": 0.7,
        "colsample_bytree": 0.7,
        "seed": spec["seed"],
        "nthread": THREADS,
    }

    def told(done: int) -> None:
        if done % 20 == 0 or done == rounds:
            progress(f"round {done} of {rounds}")

    return monotone.train(parameters, data, margin, rounds, spec["monotone"], told)


def margin_of(rows: np.ndarray, spec: dict) -> np.ndarray:
    return np.repeat(rows[:, spec["anchor"], None], len(spec["levels"]), axis=1)


def booster_outputs(booster: xgboost.Booster, rows: np.ndarray, spec: dict) -> np.ndarray:
    return np.sort(booster.predict(xgboost.DMatrix(rows, base_margin=margin_of(rows, spec))), axis=1)


def main() -> int:
    spec, data, out = read_run()
    features, target = np.ascontiguousarray(data[:, :-1]), data[:, -1]
    anchor = spec["anchor"]
    if not np.isfinite(target).all() or not np.isfinite(features[:, anchor]).all():
        print("targets and anchors must be finite", file=sys.stderr)
        return 1
    progress(f"{len(features)} rows, {features.shape[1]} features, levels {spec['levels']}")
    booster = train(features, target, spec)

    metadata = {"schema_hash": spec["schema_hash"], "levels": json.dumps(spec["levels"])}
    model = build_model(booster.save_raw("json").decode(), features.shape[1], anchor, len(spec["levels"]), metadata)
    blob = model.SerializeToString(deterministic=True)
    rows = parity_rows(features, PARITY_ROWS, np.random.default_rng(spec["seed"]), never_missing=[anchor])
    expected = booster_outputs(booster, rows, spec)
    difference = largest_difference(blob, "log_ratio", rows, expected)
    more = {"rows": len(features), "parity_max_abs_diff": difference}
    write_run(out, "demand.onnx", blob, "log_ratio", rows, expected, booster, more)
    return 0


if __name__ == "__main__":
    sys.exit(main())
