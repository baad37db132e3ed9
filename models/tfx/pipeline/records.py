"""Examples as arrays: from the TFRecords of a TFX split, or from the plain rows where TensorFlow is not installed."""

import glob
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.spec import Spec


@dataclass
class Examples:
    """N origins, K drawn horizon steps each. All loads are (value - anchor) / scale."""

    features: np.ndarray  # [N, K, F]; column 0 is the step, counted from 1
    target: np.ndarray  # [N, K]
    seasonal_naive: np.ndarray  # [N, K]
    sequence: np.ndarray | None = None  # [N, T, C]
    context: np.ndarray | None = None  # [N, H, D]
    target_all: np.ndarray | None = None  # [N, H]
    origin: np.ndarray | None = None  # [N]
    slices: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.features)

    def take(self, index: np.ndarray) -> "Examples":
        pick = lambda a: None if a is None else a[index]
        return Examples(
            pick(self.features), pick(self.target), pick(self.seasonal_naive), pick(self.sequence), pick(self.context),
            pick(self.target_all), pick(self.origin), {name: values[index] for name, values in self.slices.items()},
        )


def from_rows(path: str | Path, spec: Spec) -> Examples:
    columns = len(spec.features)
    rows = np.fromfile(path, dtype="<f4").reshape(-1, spec.steps_per_origin, columns + 2)
    about = json.loads(Path(path).with_suffix(".json").read_text())
    slices = {name: np.array([one.encode() for one in values]) for name, values in about["slices"].items()}
    return Examples(
        np.ascontiguousarray(rows[:, :, :columns]), rows[:, :, columns].copy(), rows[:, :, columns + 1].copy(),
        origin=np.array(about["origin"]), slices=slices,
    )


def parse_spec(spec: Spec) -> dict:
    import tensorflow as tf

    fixed = tf.io.FixedLenFeature
    steps = spec.steps_per_origin
    return (
        {f"x_{name}": fixed([steps], tf.float32) for name in spec.features}
        | {
            "sequence": fixed(spec.sequence, tf.float32),
            "context": fixed(spec.context, tf.float32),
            "target": fixed([spec.horizon], tf.float32),
            "seasonal_naive": fixed([steps], tf.float32),
            "origin": fixed([], tf.int64),
            "injected": fixed([], tf.int64),
        }
        | {name: fixed([], tf.string) for name in spec.slices}
    )


def from_tfrecords(pattern: str | list[str], spec: Spec) -> Examples:
    """Reads the files of a split, in the order of origins, series and content: Beam shuffles them, training must not depend on that."""
    import tensorflow as tf

    patterns = [pattern] if isinstance(pattern, str) else pattern
    files = sorted(file for one in patterns for file in glob.glob(one if "*" in one else f"{one}/*"))
    if not files:
        raise ValueError(f"no examples at {pattern}")
    kind = "GZIP" if files[0].endswith(".gz") else ""
    parsed = parse_spec(spec)
    batches = [
        tf.io.parse_example(batch, parsed)
        for batch in tf.data.TFRecordDataset(files, compression_type=kind).batch(512)
    ]
    columns = {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in parsed}
    features = np.stack([columns[f"x_{name}"] for name in spec.features], axis=-1)
    target_all = columns["target"]
    steps = features[:, :, 0].astype(np.int64) - 1
    examples = Examples(
        features,
        np.take_along_axis(target_all, steps, axis=1),
        columns["seasonal_naive"],
        columns["sequence"],
        columns["context"],
        target_all,
        columns["origin"],
        {name: columns[name] for name in [*spec.slices, "injected"]},
    )
    order = np.lexsort((target_all[:, 0], features[:, 0, 1], columns["series"], columns["origin"]))
    return examples.take(order)


def as_seen_by(examples: Examples, about: dict, spec: Spec) -> Examples | None:
    """The examples with the columns of another model, by its manifest; None where it needs what is not among them."""
    if about.get("base_schema_hash", about.get("schema_hash", spec.base_schema_hash)) != spec.base_schema_hash:
        return None
    theirs = about.get("features", spec.features[: len(spec.features) - spec.group_columns])
    if not set(theirs) <= set(spec.features):
        return None
    columns = [spec.features.index(name) for name in theirs]
    seen = examples.take(np.arange(len(examples)))
    seen.features = np.ascontiguousarray(examples.features[:, :, columns])
    if examples.context is not None:
        # The context holds its own channels, then the same columns of the groups.
        first, own = len(spec.features) - spec.group_columns, spec.context[1] - spec.group_columns
        channels = [*range(own), *(own + at - first for at in columns if at >= first)]
        seen.context = np.ascontiguousarray(examples.context[:, :, channels])
    return seen
