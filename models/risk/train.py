"""Trains the change-risk model on rows that the TypeScript feature builder wrote, and exports it.

Reads  --rows FILE  float32 little-endian, row-major: the features, the outcome (0 or 1),
                     the span (0 train, 1 calibrate, 2 test), the weight
       --spec FILE  JSON: columns, monotone (one of -1, 0, 1 per feature), seed, schema_hash, rounds, depth, eta, min_child_weight,
                     penalty, linear_share
Writes into --out: risk.onnx, training.json, parity.json (golden rows)

    features [N, F] ─┬─ TreeEnsembleRegressor ─ Add(prior) ─ Mul(1 − share) ─┐
                     └─ linear.py ─ Mul(share) ──────────────────────────────┴─ Add ─ Mul(slope) ─ Add(offset) ─ Sigmoid ─ probability [N, 1]

The mean, on the log-odds, of boosted trees and a logistic regression, both fitted on the training span; slope and offset are Platt's,
fitted on the calibration span alone, after both halves were fixed. Both halves keep the monotone signs, so their mean does.
Rows of the test span are only counted here. Ends with status 1 and the reason when the file does not compute what the halves do.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "trees"))
from threads import THREADS  # noqa: E402

import numpy as np  # noqa: E402
import xgboost  # noqa: E402
from onnx import TensorProto, checker, helper, numpy_helper  # noqa: E402

from onnx_export import IR_VERSION, ML_OPSET, OPSET, tree_attributes  # noqa: E402
from run_files import largest_difference, outputs, parity_rows, progress, read_run, write_run  # noqa: E402

from linear import Linear, fit_linear, linear_nodes  # noqa: E402

PARITY_ROWS = 10_000
# The last part of the training span tells when to stop adding trees.
STOP_SHARE = 0.15
STOP_ROUNDS = 30


def train(features: np.ndarray, outcome: np.ndarray, weight: np.ndarray, spec: dict) -> tuple[xgboost.Booster, float]:
    rate = float(np.clip(np.average(outcome, weights=weight), 1e-4, 1 - 1e-4))
    parameters = {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "base_score": rate,
        "tree_method": "hist",
        "max_bin": 128,
        "max_depth": spec["depth"],
        "eta": spec["eta"],
        "min_child_weight": spec["min_child_weight"] * float(weight.mean()),
        "lambda": 5.0,
        "subsample": 0.7,
        "colsample_bytree": 0.6,
        "monotone_constraints": "(" + ",".join(str(sign) for sign in spec["monotone"]) + ")",
        "seed": spec["seed"],
        "nthread": THREADS,
    }
    cut = int(len(features) * (1 - STOP_SHARE))
    early, late = (xgboost.DMatrix(features[part], label=outcome[part], weight=weight[part]) for part in (slice(0, cut), slice(cut, None)))
    stopped = xgboost.train(
        parameters, early, spec["rounds"], evals=[(late, "late")], early_stopping_rounds=STOP_ROUNDS, verbose_eval=False
    )
    rounds = max(1, stopped.best_iteration + 1)
    progress(f"{rounds} trees, chosen on the last {STOP_SHARE:.0%} of the training span")
    booster = xgboost.train(parameters, xgboost.DMatrix(features, label=outcome, weight=weight), rounds)
    return booster, float(np.float32(np.log(rate / (1 - rate))))


def margins(booster: xgboost.Booster, rows: np.ndarray) -> np.ndarray:
    return booster.predict(xgboost.DMatrix(rows), output_margin=True).astype(np.float64)


def platt(margin: np.ndarray, outcome: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Slope and offset by Newton's method on Platt's smoothed targets (Platt 1999; Lin, Lin & Weng 2007), rows weighted as in training:
    counted pair by pair, a few wide changes of the calibration span would set the level of all."""
    positives, negatives = float((weight * outcome).sum()), float((weight * (1 - outcome)).sum())
    target = np.where(outcome > 0.5, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    slope, offset = 1.0, 0.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-(slope * margin + offset)))
        error, curve = weight * (p - target), weight * (p * (1 - p) + 1e-12)
        gradient = np.array([(error * margin).sum(), error.sum()])
        hessian = np.array([[(curve * margin**2).sum(), (curve * margin).sum()], [(curve * margin).sum(), curve.sum()]])
        step = np.linalg.solve(hessian + 1e-9 * np.eye(2), gradient)
        slope, offset = slope - step[0], offset - step[1]
        if np.abs(step).max() < 1e-10:
            break
    if not slope > 0:
        raise SystemExit("the calibration span turns the model upside down: it knows nothing of the later changes")
    return float(np.float32(slope)), float(np.float32(offset))


def build_model(booster: xgboost.Booster, prior: float, linear: Linear, slope: float, offset: float, spec: dict):
    scalar = lambda value, name: numpy_helper.from_array(np.array([value], dtype=np.float32), name)  # noqa: E731
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["sum"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        **tree_attributes(json.loads(booster.save_raw("json")), 1),
    )
    linear_part, constants = linear_nodes(linear, "linear_margin")
    share = spec["linear_share"]
    graph = helper.make_graph(
        [
            trees,
            helper.make_node("Add", ["sum", "prior"], ["tree_margin"]),
            *linear_part,
            helper.make_node("Mul", ["tree_margin", "tree_share"], ["of_trees"]),
            helper.make_node("Mul", ["linear_margin", "linear_share"], ["of_linear"]),
            helper.make_node("Add", ["of_trees", "of_linear"], ["margin"]),
            helper.make_node("Mul", ["margin", "slope"], ["scaled"]),
            helper.make_node("Add", ["scaled", "offset"], ["calibrated"]),
            helper.make_node("Sigmoid", ["calibrated"], ["probability"]),
        ],
        "ballast_risk",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", len(spec["monotone"])])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["rows", 1])],
        [
            *(scalar(value, name) for value, name in ((prior, "prior"), (1 - share, "tree_share"), (share, "linear_share"))),
            *(scalar(value, name) for value, name in ((slope, "slope"), (offset, "offset"))),
            *constants,
        ],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
        producer_name="ballast",
    )
    helper.set_model_props(model, {"schema_hash": spec["schema_hash"]})
    checker.check_model(model)
    return model


def main() -> int:
    spec, data, out = read_run()
    features, outcome, span, weight = np.ascontiguousarray(data[:, :-3]), data[:, -3], data[:, -2], data[:, -1]
    if not np.isin(outcome, [0, 1]).all():
        print("outcomes must be 0 or 1", file=sys.stderr)
        return 1
    for part, name in ((0, "training"), (1, "calibration")):
        if len(np.unique(outcome[span == part])) < 2:
            print(f"all changes of the {name} span ended alike", file=sys.stderr)
            return 1
    progress(f"{len(features)} rows, {features.shape[1]} features, {outcome[span == 0].mean():.2%} of the training span degraded")
    fitted = features[span == 0], outcome[span == 0], weight[span == 0]
    booster, prior = train(*fitted, spec)
    linear = fit_linear(*fitted, spec["monotone"], spec["penalty"])
    share = spec["linear_share"]
    margin = lambda rows: (1 - share) * margins(booster, rows) + share * linear.margins(rows)  # noqa: E731
    slope, offset = platt(margin(features[span == 1]), outcome[span == 1], weight[span == 1])
    progress(f"calibrated on {int((span == 1).sum())} rows: slope {slope:.3f}, offset {offset:+.3f}")
    blob = build_model(booster, prior, linear, slope, offset, spec).SerializeToString(deterministic=True)

    rows = parity_rows(features, PARITY_ROWS, np.random.default_rng(spec["seed"]))
    expected = 1 / (1 + np.exp(-(slope * margin(rows) + offset)))
    difference = largest_difference(blob, "probability", rows, expected)
    highest = float(outputs(blob, "probability", features[span < 2]).max())
    effect = {column: round(float(value), 4) for column, value in enumerate(linear.coefficient)}
    more = {"slope": slope, "offset": offset, "highest": highest, "effect": effect, "parity_max_abs_diff": difference}
    write_run(out, "risk.onnx", blob, "probability", rows, expected, booster, more)
    return 0


if __name__ == "__main__":
    sys.exit(main())
