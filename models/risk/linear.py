"""Logistic regression with an L2 penalty and signs that may be given, and the ONNX nodes that compute it.

    features ─ Where(blank → mean) ─ clamp to the training range ─ (x − mean) / sd ─ MatMul ─┐
        └──── IsNaN ─ MatMul ────────────────────────────────────────────────────────────────┴─ Add ─ Add(intercept) ─ log-odds [N, 1]

A blank counts as the column's mean, and a column that had blanks in training has a coefficient for being blank. Outside the range
of the training span a line goes on for ever where trees stay level; the clamp keeps it level too, and monotone.
"""

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper
from scipy.optimize import minimize

MAX_ITERATIONS = 1_000


@dataclass(frozen=True)
class Linear:
    """All float32: what the file holds is what is checked. One value per feature except the intercept."""

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    coefficient: np.ndarray
    blank: np.ndarray
    intercept: np.float32

    def margins(self, rows: np.ndarray) -> np.ndarray:
        """Log-odds of each row, in float64."""
        inputs, blanks = standardised(rows, self)
        return inputs @ self.coefficient.astype(np.float64) + blanks @ self.blank.astype(np.float64) + float(self.intercept)


def standardised(rows: np.ndarray, of: Linear) -> tuple[np.ndarray, np.ndarray]:
    blanks = np.isnan(rows)
    mean = of.mean.astype(np.float64)
    inside = np.minimum(np.maximum(np.where(blanks, mean, rows), of.low), of.high)
    return (inside - mean) / of.sd.astype(np.float64), blanks.astype(np.float64)


def fit_linear(features: np.ndarray, outcome: np.ndarray, weight: np.ndarray, monotone: list[int], penalty: float) -> Linear:
    """The penalty is half a coefficient's square times `penalty`, per standard deviation of its column; the intercept has none."""
    width = features.shape[1]
    seen = ~np.isnan(features)
    column = lambda of, empty: np.array(  # noqa: E731
        [of(features[seen[:, k], k].astype(np.float64)) if seen[:, k].any() else empty for k in range(width)], dtype=np.float32
    )
    low, high, mean, sd = column(np.min, 0), column(np.max, 0), column(np.mean, 0), column(np.std, 1)
    sd[sd == 0] = 1
    nothing = np.zeros(width, dtype=np.float32)
    scale = Linear(low, high, mean, sd, nothing, nothing, np.float32(0))
    inputs, blanks = standardised(features, scale)
    gaps = ~seen.all(axis=0) & seen.any(axis=0)
    design = np.concatenate([np.ones((len(features), 1)), inputs, blanks[:, gaps]], axis=1)
    penalties = np.full(design.shape[1], float(penalty))
    penalties[0] = 0

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        margin = design @ beta
        value = (weight * (np.logaddexp(0, margin) - outcome * margin)).sum() + 0.5 * (penalties * beta**2).sum()
        return value, design.T @ (weight * (1 / (1 + np.exp(-margin)) - outcome)) + penalties * beta

    sign = {1: (0, None), -1: (None, 0), 0: (None, None)}
    bounds = [sign[0], *(sign[one] for one in monotone), *[sign[0]] * int(gaps.sum())]
    rate = np.clip(np.average(outcome, weights=weight), 1e-4, 1 - 1e-4)
    start = np.zeros(design.shape[1])
    start[0] = np.log(rate / (1 - rate))
    options = {"maxiter": MAX_ITERATIONS, "maxfun": 2 * MAX_ITERATIONS, "ftol": 1e-14, "gtol": 1e-7}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    if not np.isfinite(found.x).all() or found.nit >= MAX_ITERATIONS:
        raise SystemExit(f"the logistic regression did not settle: {found.message}")
    beta = found.x.astype(np.float32)
    blank = nothing.copy()
    blank[gaps] = beta[1 + width :]
    return Linear(low, high, mean, sd, beta[1 : 1 + width], blank, beta[0])


def linear_nodes(of: Linear, output: str) -> tuple[list[NodeProto], list[TensorProto]]:
    """Nodes from `features` to `output` and their constants."""
    node = helper.make_node
    nodes = [
        node("IsNaN", ["features"], ["is_blank"]),
        node("Where", ["is_blank", "mean", "features"], ["filled"]),
        node("Max", ["filled", "low"], ["not_below"]),
        node("Min", ["not_below", "high"], ["inside"]),
        node("Sub", ["inside", "mean"], ["centred"]),
        node("Div", ["centred", "sd"], ["standardised"]),
        node("MatMul", ["standardised", "coefficient"], ["from_values"]),
        node("Cast", ["is_blank"], ["blanks"], to=TensorProto.FLOAT),
        node("MatMul", ["blanks", "blank"], ["from_blanks"]),
        node("Add", ["from_values", "from_blanks"], ["effects"]),
        node("Add", ["effects", "intercept"], [output]),
    ]
    rows = {name: getattr(of, name).reshape(1, -1) for name in ("low", "high", "mean", "sd")}
    columns = {name: getattr(of, name).reshape(-1, 1) for name in ("coefficient", "blank")}
    constants = rows | columns | {"intercept": np.array([of.intercept], dtype=np.float32)}
    return nodes, [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()]
