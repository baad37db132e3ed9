"""Trains the demand model on rows that the TypeScript feature builder wrote, and exports it.

Reads  --rows FILE  float32 little-endian, row-major: the features, then the target; NaN = missing
       --spec FILE  JSON: columns, anchor (column index), levels, seed, schema_hash, rounds, depth
Writes into --out: demand.onnx, training.json (what was trained and how close the export is), parity.json (golden rows)

Lines on standard output that start with "progress " are for people. Ends with status 1 and the reason when the exported
file does not compute what the booster computes. Computes no feature.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import xgboost

from onnx_export import build_model

PARITY_ROWS = 1_000
PARITY_TOLERANCE = 1e-5
GOLDEN_ROWS = 8
# Part of what makes a run repeatable: histograms are summed per thread.
THREADS = 2


def progress(text: str) -> None:
    print(f"progress {text}", flush=True)


class Progress(xgboost.callback.TrainingCallback):
    def __init__(self, rounds: int):
        self.rounds = rounds

    def after_iteration(self, model, epoch, evals_log):
        if (epoch + 1) % 20 == 0 or epoch + 1 == self.rounds:
            progress(f"round {epoch + 1} of {self.rounds}")
        return False


def train(features: np.ndarray, target: np.ndarray, spec: dict) -> xgboost.Booster:
    levels = spec["levels"]
    margin = np.repeat(features[:, spec["anchor"], None], len(levels), axis=1)
    data = xgboost.QuantileDMatrix(features, label=target, base_margin=margin, max_bin=128, nthread=THREADS)
    parameters = {
        "objective": "reg:quantileerror",
        "quantile_alpha": levels,
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
    return xgboost.train(parameters, data, num_boost_round=spec["rounds"], callbacks=[Progress(spec["rounds"])])


def booster_outputs(booster: xgboost.Booster, rows: np.ndarray, spec: dict) -> np.ndarray:
    margin = np.repeat(rows[:, spec["anchor"], None], len(spec["levels"]), axis=1)
    return np.sort(booster.predict(xgboost.DMatrix(rows, base_margin=margin)), axis=1)


def parity_rows(features: np.ndarray, anchor: int, random: np.random.Generator) -> np.ndarray:
    """Half from the data, half drawn column by column from anywhere in and beyond its range, some of it missing."""
    half = PARITY_ROWS // 2
    seen = features[random.integers(0, len(features), half)]
    low, high = np.nanmin(features, axis=0), np.nanmax(features, axis=0)
    made = random.uniform(low - 0.5, high + 0.5, (PARITY_ROWS - half, features.shape[1])).astype(np.float32)
    missing = random.random(made.shape) < 0.1
    missing[:, anchor] = False
    made[missing] = np.nan
    return np.concatenate([seen, made])


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("rows", "spec", "out"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    arguments = parser.parse_args()
    spec = json.loads(arguments.spec.read_text())
    data = np.fromfile(arguments.rows, dtype="<f4").reshape(-1, spec["columns"])
    features, target = np.ascontiguousarray(data[:, :-1]), data[:, -1]
    if not np.isfinite(target).all() or not np.isfinite(features[:, spec["anchor"]]).all():
        print("targets and anchors must be finite", file=sys.stderr)
        return 1
    progress(f"{len(features)} rows, {features.shape[1]} features, levels {spec['levels']}")
    booster = train(features, target, spec)

    metadata = {"schema_hash": spec["schema_hash"], "levels": json.dumps(spec["levels"])}
    model = build_model(booster.save_raw("json").decode(), features.shape[1], spec["anchor"], len(spec["levels"]), metadata)
    blob = model.SerializeToString(deterministic=True)

    random = np.random.default_rng(spec["seed"])
    rows = parity_rows(features, spec["anchor"], random)
    expected = booster_outputs(booster, rows, spec)
    session = onnxruntime.InferenceSession(blob, providers=["CPUExecutionProvider"])
    actual = session.run(["log_ratio"], {"features": rows})[0]
    difference = float(np.max(np.abs(expected - actual)))
    progress(f"parity over {len(rows)} rows: largest difference {difference:.2e}")
    if not difference < PARITY_TOLERANCE:
        print(f"the exported model differs from the booster by {difference:.3e}, more than {PARITY_TOLERANCE}", file=sys.stderr)
        return 1

    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "demand.onnx").write_bytes(blob)
    golden = [*range(GOLDEN_ROWS // 2), *range(PARITY_ROWS - GOLDEN_ROWS // 2, PARITY_ROWS)]
    parity = {
        "rows": [[None if np.isnan(value) else float(value) for value in rows[index]] for index in golden],
        "log_ratio": [[float(value) for value in expected[index]] for index in golden],
    }
    (arguments.out / "parity.json").write_text(json.dumps(parity, indent=1) + "\n")
    trees = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    gain = booster.get_score(importance_type="total_gain")
    total = sum(gain.values()) or 1.0
    summary = {
        "rows": len(features),
        "trees": len(trees),
        "nodes": sum(len(tree["left_children"]) for tree in trees),
        "parity_rows": PARITY_ROWS,
        "parity_max_abs_diff": difference,
        "gain": {int(name[1:]): round(value / total, 4) for name, value in gain.items()},
        "versions": {"xgboost": xgboost.__version__, "onnxruntime": onnxruntime.__version__, "numpy": np.__version__},
    }
    (arguments.out / "training.json").write_text(json.dumps(summary) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
