"""The tree half: XGBoost, one quantile tree per level and round, on single horizon steps."""

import sys
from pathlib import Path

import numpy as np
import xgboost

from pipeline.records import Examples
from pipeline.spec import Spec

sys.path.append(str(Path(__file__).resolve().parents[2] / "trees"))
import monotone  # noqa: E402

# Small on purpose: the anchor knows the series, and what the trees add to it on one day of history soon becomes noise. `monotone` is not
# searched: on eight validation spans the signs cost nothing (docs/decisions/0017-monotone-trees.md).
DEFAULTS = {"rounds": 60, "depth": 3, "eta": 0.08, "min_child_weight": 100, "subsample": 0.5, "columns": 0.5, "monotone": True}
# One thread: histograms are summed per thread, so the number of threads is part of what makes a run repeatable.
THREADS = 1
MAX_BIN = 64


def fit(examples: Examples, spec: Spec, settings: dict, seed: int, progress=lambda text: None) -> xgboost.Booster:
    rows = examples.features.reshape(-1, len(spec.features))
    # The margin is set, to nought, so that the intercept that XGBoost would fit is not part of the model.
    data = xgboost.QuantileDMatrix(
        rows, label=examples.target.ravel(), base_margin=margin(len(rows), spec), max_bin=MAX_BIN, nthread=THREADS
    )
    parameters = {
        "objective": "reg:quantileerror",
        "quantile_alpha": spec.levels,
        "tree_method": "hist",
        "max_bin": MAX_BIN,
        "max_depth": settings["depth"],
        "eta": settings["eta"],
        # Relative to the number of rows that the recipe was found with, so that small sets can be split at all.
        "min_child_weight": max(1.0, settings["min_child_weight"] * min(1.0, len(rows) / 100_000)),
        "subsample": settings["subsample"],
        "colsample_bytree": settings["columns"],
        "reg_lambda": 5,
        "seed": seed,
        "nthread": THREADS,
    }
    rounds = settings["rounds"]

    def told(done: int) -> None:
        if done % 25 == 0 or done == rounds:
            progress(f"trees: round {done} of {rounds}")

    signs = spec.monotone if settings["monotone"] else [0] * len(spec.features)
    return monotone.train(parameters, data, margin(len(rows), spec), rounds, signs, told)


def predict(booster: xgboost.Booster, features: np.ndarray, spec: Spec) -> np.ndarray:
    """[N, K, F] to [N, K, levels], ascending. XGBoost sorts them itself from 3.4 on; older ones do not."""
    rows = np.ascontiguousarray(features.reshape(-1, features.shape[-1]))
    data = xgboost.DMatrix(rows, base_margin=margin(len(rows), spec), nthread=THREADS)
    return np.sort(booster.predict(data).reshape(*features.shape[:-1], len(spec.levels)), axis=-1)


def margin(rows: int, spec: Spec) -> np.ndarray:
    return np.zeros((rows, len(spec.levels)), dtype=np.float32)
