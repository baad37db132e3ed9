"""The tree half alone, without TensorFlow and TFX: same features, same exporter, same calibration, same parity check.

Run as `python -m pipeline.plain --files DIR --out DIR [--forecasts FILE]`; the file gets the forecasts of the judged span, float32
[origins, steps, levels]. Ends with 0 when the model beats the seasonal naive forecast on the span that
is judged, 3 when it does not; the files are written either way and say so.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from pipeline import ensemble, leak_guard, package, parity, trees
from pipeline.progress import progress
from pipeline.records import Examples, from_rows
from pipeline.spec import Spec


def rows_of(splits: dict[str, Examples], spec: Spec) -> Examples:
    """The examples that have a witness, in the order of the witnesses."""
    parts = [splits[split].take(np.array([place])) for split, place in spec.witnesses]
    return Examples(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("features", "target", "seasonal_naive")))


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("files", "out"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--forecasts", type=Path)
    arguments = parser.parse_args()
    spec = Spec.load(arguments.files / "spec.json")
    splits = {split: from_rows(arguments.files / "rows" / f"{split}.bin", spec) for split in ("train", "eval", "gate")}
    try:
        leak_guard.check_spans(spec)
        for split, examples in splits.items():
            leak_guard.check_origins(examples, split, spec)
        leak_guard.check_witnesses(rows_of(splits, spec), from_rows(arguments.files / "rows" / "witness.bin", spec), spec)
    except leak_guard.LeakFound as leak:
        print(leak, file=sys.stderr)
        return 4
    progress(f"training on {len(splits['train'])} origins, calibrating on {len(splits['eval'])}")
    settings = {"trees": trees.DEFAULTS | {"rounds": min(trees.DEFAULTS["rounds"], spec.effort["maxRounds"])}}
    fitted, _ = ensemble.fit(splits["train"], splits["eval"], spec, settings, with_network=False, progress=progress)
    exported = package.export(arguments.out, fitted, splits["eval"], spec)
    progress(f"exported {exported['bytes']} bytes; parity over {exported['parity_rows']} rows: {exported['parity_max_abs_diff']:.1e}")
    forecast = parity.run(parity.session_of((arguments.out / package.MODEL_FILE).read_bytes()), splits["gate"])
    if arguments.forecasts:
        forecast.astype("<f4").tofile(arguments.forecasts)
    gate = package.judged(forecast, splits["gate"], splits["eval"], spec)
    package.write(arguments.out, package.manifest(exported, fitted, gate, spec, "trees"), spec)
    progress(f"gate: MASE {gate['model']['mase']:.4f}, seasonal naive {gate['seasonal_naive']['mase']:.4f}")
    return 0 if gate["model"]["pinball"] < gate["seasonal_naive"]["pinball"] else 3


if __name__ == "__main__":
    sys.exit(main())
