"""The tree half alone, without TensorFlow and TFX: same features, same exporter, same calibration, same parity check.

Run as `python -m pipeline.plain --files DIR --out DIR [--blessed DIR] [--forecasts FILE]`; the file gets the forecasts of the judged
span, float32 [origins, steps, levels]. Ends with 0 when the model beats the seasonal naive forecast, on error and on loss, and is no worse
than the model in use, on the span that is judged; with 3 when it is not; the files are written either way and say so.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from pipeline import ensemble, leak_guard, package, parity, trees
from pipeline.progress import progress
from pipeline.records import Examples, from_rows
from pipeline.spec import Spec
from pipeline.starter import end_with_starter


def rows_of(splits: dict[str, Examples], spec: Spec) -> Examples:
    """The examples that have a witness, in the order of the witnesses."""
    parts = [splits[split].take(np.array([place])) for split, place in spec.witnesses]
    return Examples(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("features", "target", "seasonal_naive")))


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("files", "out"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--blessed", default="", help="folder of the model in use")
    parser.add_argument("--forecasts", type=Path)
    parser.add_argument("--with-starter", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    if arguments.with_starter:
        end_with_starter()
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
    said = package.said_by(arguments.blessed, splits["gate"], spec) if arguments.blessed else None
    gate["blessed_pinball"] = None if said is None else float(ensemble.pinball(said, splits["gate"].target, spec.levels).mean())
    package.write(arguments.out, package.manifest(exported, fitted, gate, spec, "trees"), spec)
    progress(f"gate: MASE {gate['model']['mase']:.4f}, seasonal naive {gate['seasonal_naive']['mase']:.4f}")
    own, naive, before = gate["model"], gate["seasonal_naive"], gate["blessed_pinball"]
    misses = [
        f"{name} {own[name]:.4g}, not below that of the seasonal naive forecast, {naive[name]:.4g}" for name in ("mase", "pinball") if not own[name] < naive[name]
    ]
    if before is not None and own["pinball"] > before:
        misses.append(f"pinball {own['pinball']:.4g}, more than that of the model in use, {before:.4g}")
    for miss in misses:
        progress(f"gate: {miss}")
    return 3 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
