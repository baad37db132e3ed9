"""Refuses examples whose inputs know what comes later, or whose splits reach into each other.

A witness is an example of which the feature builder made the inputs again, from a series in which everything from the origin on was
replaced: what the example holds beyond its witness, it took from the future or from a scaler that was fitted there.
"""

import numpy as np

from pipeline.records import Examples
from pipeline.spec import Spec


class LeakFound(ValueError):
    pass


def check_spans(spec: Spec) -> None:
    for series in spec.series:
        spans = [series["splits"][split] for split in ("train", "eval", "gate")]
        for (_, before), (after, _) in zip(spans, spans[1:]):
            if before > after:
                raise LeakFound(f"LEAK: the splits of {series['name']} overlap at step {after}")
    if not spec.witnesses:
        raise LeakFound("LEAK: no example has a witness, so nothing shows that its inputs do not know what comes later")


def check_origins(examples: Examples, split: str, spec: Spec) -> None:
    """Every origin, with its whole horizon, lies inside of its split's span."""
    spans = {series["name"].encode(): series["splits"][split] for series in spec.series}
    for name, origin in zip(examples.slices["series"], examples.origin):
        start, end = spans[name]
        if not (start <= origin and origin + spec.horizon <= end):
            raise LeakFound(f"LEAK: the {split} example of {name.decode()} at step {origin} is outside of {start} to {end}")


def check_witnesses(of: Examples, witnesses: Examples, spec: Spec) -> None:
    """`of` and `witnesses` are in the same order."""
    different = np.argwhere(of.features != witnesses.features)
    if len(different):
        raise LeakFound(f"LEAK: {spec.features[different[0][2]]} is another when what comes after its origin is")
    for name in ("sequence", "context"):
        one, other = getattr(of, name), getattr(witnesses, name)
        if one is not None and not np.array_equal(one, other):
            raise LeakFound(f"LEAK: {name} is another when what comes after its origin is")


def witnessed(splits: dict[str, Examples], witnesses: Examples) -> Examples:
    """The examples of the witnesses, found by what does not depend on inputs: split, series, origin, targets and steps."""

    def key(examples: Examples, i: int):
        return (
            bytes(examples.slices["series"][i]), int(examples.origin[i]), int(examples.slices["injected"][i]),
            examples.features[i, :, 0].tobytes(),
        )

    places = {key(examples, i): (split, i) for split, examples in splits.items() for i in range(len(examples))}
    found = [places.get(key(witnesses, i)) for i in range(len(witnesses))]
    if None in found:
        raise LeakFound("LEAK: a witness has no example: the files are not of one run")
    parts = [splits[split].take(np.array([i])) for split, i in found]
    return Examples(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("features", "target", "seasonal_naive", "sequence", "context")))


def check(splits: dict[str, Examples], witnesses: Examples, spec: Spec) -> None:
    check_spans(spec)
    for split, examples in splits.items():
        check_origins(examples, split, spec)
    check_witnesses(witnessed(splits, witnesses), witnesses, spec)
