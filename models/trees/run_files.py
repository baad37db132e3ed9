"""What the trainings of demand and risk models share: their arguments and rows, the parity check of the exported file, and what they leave behind."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import xgboost

PARITY_TOLERANCE = 1e-5
GOLDEN_ROWS = 8


def progress(text: str) -> None:
    """Lines on standard output that start with "progress " are for people."""
    print(f"progress {text}", flush=True)


def read_run() -> tuple[dict, np.ndarray, Path]:
    """The spec (JSON of --spec), the rows (--rows, float32 little-endian, row-major, spec["columns"] wide), and the folder --out."""
    parser = argparse.ArgumentParser()
    for name in ("rows", "spec", "out"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    arguments = parser.parse_args()
    spec = json.loads(arguments.spec.read_text())
    return spec, np.fromfile(arguments.rows, dtype="<f4").reshape(-1, spec["columns"]), arguments.out


def parity_rows(features: np.ndarray, count: int, random: np.random.Generator, never_missing: list[int] | None = None) -> np.ndarray:
    """Half from the data, half drawn column by column from anywhere in and beyond its range, some of it missing."""
    half = count // 2
    seen = features[random.integers(0, len(features), half)]
    low, high = np.nanmin(features, axis=0), np.nanmax(features, axis=0)
    made = random.uniform(low - 0.5, high + 0.5, (count - half, features.shape[1])).astype(np.float32)
    missing = random.random(made.shape) < 0.1
    missing[:, never_missing or []] = False
    made[missing] = np.nan
    return np.concatenate([seen, made])


def largest_difference(blob: bytes, output: str, rows: np.ndarray, expected: np.ndarray) -> float:
    """Between what the exported file computes of the rows and what was expected. Ends the run where it is above PARITY_TOLERANCE."""
    difference = float(np.max(np.abs(expected - outputs(blob, output, rows).reshape(expected.shape))))
    progress(f"parity over {len(rows)} rows: largest difference {difference:.2e}")
    if not difference < PARITY_TOLERANCE:
        sys.exit(f"the exported model differs from the booster by {difference:.3e}, more than {PARITY_TOLERANCE}")
    return difference


def outputs(blob: bytes, output: str, rows: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(blob, providers=["CPUExecutionProvider"])
    return session.run([output], {"features": rows})[0]


def write_run(out: Path, name: str, blob: bytes, output: str, rows: np.ndarray, expected: np.ndarray, booster: xgboost.Booster, more: dict) -> None:
    """The model file, parity.json (golden rows from both halves of the parity check), and training.json."""
    out.mkdir(parents=True, exist_ok=True)
    (out / name).write_bytes(blob)
    golden = [*range(GOLDEN_ROWS // 2), *range(len(rows) - GOLDEN_ROWS // 2, len(rows))]
    parity = {
        "rows": [[None if np.isnan(value) else float(value) for value in rows[index]] for index in golden],
        output: [expected[index].tolist() for index in golden],
    }
    (out / "parity.json").write_text(json.dumps(parity, indent=1) + "\n")
    trees = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    gain = booster.get_score(importance_type="total_gain")
    total = sum(gain.values()) or 1.0
    summary = {
        "trees": len(trees),
        "nodes": sum(len(tree["left_children"]) for tree in trees),
        "parity_rows": len(rows),
        "gain": {int(name[1:]): round(value / total, 4) for name, value in gain.items()},
        "versions": {"xgboost": xgboost.__version__, "onnxruntime": onnxruntime.__version__, "numpy": np.__version__},
        **more,
    }
    (out / "training.json").write_text(json.dumps(summary) + "\n")
