"""The exported file against the trained halves, on rows from the data and on rows from anywhere around it."""

import numpy as np
import onnxruntime

from pipeline import ensemble as ensembles
from pipeline.ensemble import Ensemble
from pipeline.records import Examples
from pipeline.spec import Spec

# Of values up to 1, and of larger ones in proportion: at 128 the last bit of a float32 is 1.5e-5 already.
TOLERANCE = 1e-5


def session_of(blob: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(blob, options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, examples: Examples, batch: int = 512) -> np.ndarray:
    wanted = [one.name for one in session.get_inputs()]
    parts = []
    for at in range(0, len(examples), batch):
        feed = {name: getattr(examples, name)[at : at + batch] for name in wanted}
        parts.append(session.run(["forecast"], feed)[0])
    return np.concatenate(parts)


def random_examples(seen: Examples, rows: int, spec: Spec) -> Examples:
    """Half of the horizon rows as they are, half drawn column by column in and beyond the range seen."""
    random = np.random.default_rng(spec.seed)
    origins = -(-rows // spec.steps_per_origin)
    taken = seen.take(random.integers(0, len(seen), origins))
    half = origins // 2

    def spread(values: np.ndarray) -> np.ndarray:
        flat = values.reshape(-1, values.shape[-1])
        low, high = flat.min(axis=0), flat.max(axis=0)
        made = random.uniform(low - 0.5, high + 0.5, (half, *values.shape[1:]))
        return np.concatenate([made.astype(np.float32), values[half:]])

    steps = taken.features[:, :, 0].copy()
    taken.features = spread(taken.features)
    # A step is a number of the horizon; the rest may be anything.
    taken.features[:, :, 0] = steps
    if taken.sequence is not None:
        taken.sequence, taken.context = spread(taken.sequence), spread(taken.context)
    return taken


def largest_difference(blob: bytes, ensemble: Ensemble, seen: Examples, rows: int, spec: Spec) -> tuple[float, int]:
    """The largest absolute difference and the number of horizon rows compared. Raises ValueError above the tolerance."""
    drawn = random_examples(seen, rows, spec)
    expected = ensembles.predict(ensemble, drawn, spec)
    actual = run(session_of(blob), drawn)
    differences = np.abs(expected - actual)
    relative = float(np.max(differences / np.maximum(1, np.abs(expected))))
    if not relative < TOLERANCE:
        raise ValueError(f"the exported model differs from the trained halves by {relative:.3e}, more than {TOLERANCE}")
    return float(np.max(differences)), actual.shape[0] * actual.shape[1]
