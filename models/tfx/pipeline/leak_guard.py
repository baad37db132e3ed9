"""Refuses examples whose inputs know what they should say, or whose splits reach into each other."""

import numpy as np

from pipeline.records import Examples
from pipeline.spec import Spec

#: Share of a held-out target's variance that one column may explain. The best sound column, a good forecast, leaves noise.
MOST_EXPLAINED = 0.98


class LeakFound(ValueError):
    pass


def check_spans(spec: Spec) -> None:
    for series in spec.series:
        spans = [series["splits"][split] for split in ("train", "eval", "gate")]
        for (_, before), (after, _) in zip(spans, spans[1:]):
            if before > after:
                raise LeakFound(f"LEAK: the splits of {series['name']} overlap at step {after}")


def check_origins(examples: Examples, split: str, spec: Spec) -> None:
    """Every origin, with its whole horizon, lies inside of its split's span."""
    spans = {series["name"].encode(): series["splits"][split] for series in spec.series}
    for name, origin in zip(examples.slices["series"], examples.origin):
        start, end = spans[name]
        if not (start <= origin and origin + spec.horizon <= end):
            raise LeakFound(f"LEAK: the {split} example of {name.decode()} at step {origin} is outside of {start} to {end}")


def check_columns(examples: Examples, split: str, spec: Spec) -> None:
    """
    No column gives the target away: the share of its variance that a straight line on the column explains. Rows are first ranked,
    so that one far value cannot hide a leak, then raw.
    """
    target = examples.target.ravel().astype(np.float64)
    rows = examples.features.reshape(-1, len(spec.features)).astype(np.float64)
    if np.std(target) == 0 or len(target) < 50:
        return
    ranks = lambda values: np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)
    ranked = ranks(target)
    for index, name in enumerate(spec.features):
        column = rows[:, index]
        if np.std(column) == 0:
            continue
        explained = max(np.corrcoef(column, target)[0, 1] ** 2, np.corrcoef(ranks(column), ranked)[0, 1] ** 2)
        if explained > MOST_EXPLAINED:
            raise LeakFound(f"LEAK: {name} explains {explained:.3f} of the {split} target; it must hold what comes later")


def check(splits: dict[str, Examples], spec: Spec) -> None:
    check_spans(spec)
    for split, examples in splits.items():
        check_origins(examples, split, spec)
        check_columns(examples, split, spec)
