"""Figures of a forecast on examples; loads are in units of the scale, so a mean absolute error is MASE."""

import numpy as np

from pipeline.ensemble import pinball
from pipeline.records import Examples
from pipeline.spec import Spec


def naive_quantiles(naive: np.ndarray, errors_of: Examples, spec: Spec) -> np.ndarray:
    """The seasonal naive forecast with the quantiles of its own errors on a span before: [N, K, levels]."""
    errors = (errors_of.target - errors_of.seasonal_naive).ravel()
    spread = np.quantile(errors, spec.levels).astype(np.float32)
    # Its point forecast is the value of the season before, without a correction.
    spread -= spread[spec.median]
    return naive[..., None] + spread


def of(forecast: np.ndarray, examples: Examples, spec: Spec) -> dict:
    target = examples.target
    error = np.abs(target - forecast[..., spec.median])
    return {
        "mase": float(error.mean()),
        "pinball": float(pinball(forecast, target, spec.levels).mean()),
        "coverage": [float((target <= forecast[..., i]).mean()) for i in range(len(spec.levels))],
        "count": int(target.size),
    }


def by_slice(forecast: np.ndarray, naive: np.ndarray, examples: Examples, spec: Spec) -> dict:
    said = {}
    for name in spec.slices:
        values = examples.slices[name]
        for value in np.unique(values):
            index = np.flatnonzero(values == value)
            part = examples.take(index)
            own = of(forecast[index], part, spec)
            said[f"{name}={value.decode()}"] = {
                "mase": own["mase"],
                "seasonal_naive_mase": of(naive[index], part, spec)["mase"],
                "coverage": own["coverage"],
                "count": int(part.target.size),
            }
    return said
