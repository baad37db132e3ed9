"""The files that are served: the graph, its manifest and a page about it."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnxruntime
import xgboost

from pipeline import onnx_graph, parity, scores
from pipeline.ensemble import Ensemble
from pipeline.onnx_graph import MODEL_FILE
from pipeline.progress import progress
from pipeline.records import Examples, as_seen_by
from pipeline.spec import Spec

MANIFEST_FILE = "manifest.json"
CARD_FILE = "MODEL_CARD.md"
#: Rows of the file that a build compares with the engine it serves with.
GOLDEN_ORIGINS = 2


def export(folder: Path, ensemble: Ensemble, seen: Examples, spec: Spec) -> dict:
    """Writes the graph, compares it with the trained halves, and returns what the manifest says of both."""
    metadata = {"schema_hash": spec.schema_hash, "levels": json.dumps(spec.levels)}
    blob = onnx_graph.build(ensemble, spec, metadata).SerializeToString(deterministic=True)
    difference, rows = parity.largest_difference(blob, ensemble, seen, spec.effort["parityRows"], spec)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(blob)
    golden = seen.take(np.arange(min(GOLDEN_ORIGINS, len(seen))))
    session = parity.session_of(blob)
    inputs = [one.name for one in session.get_inputs()]
    said = parity.run(session, golden)
    floats = lambda values: [float(value) for value in np.asarray(values, np.float32).ravel()]
    record = {
        "origins": len(golden),
        "steps": golden.features.shape[1],
        "inputs": {name: floats(getattr(golden, name)) for name in inputs},
        "forecast": floats(said),
    }
    (folder / "golden.json").write_text(json.dumps(record) + "\n")
    return {
        "sha256": hashlib.sha256(blob).hexdigest(),
        "bytes": len(blob),
        "inputs": inputs,
        "parity_rows": rows,
        "parity_max_abs_diff": difference,
    }


def manifest(exported: dict, ensemble: Ensemble, gate: dict, spec: Spec, pipeline: str, moved: dict | None = None) -> dict:
    settings = {name: ensemble.settings[name] for name in ("trees", "recurrent") if name == "trees" or ensemble.network}
    versions = {"xgboost": xgboost.__version__, "onnxruntime": onnxruntime.__version__, "numpy": np.__version__}
    if ensemble.network:
        import keras
        import tensorflow

        versions |= {"keras": keras.__version__, "tensorflow": tensorflow.__version__}
    if pipeline == "tfx":
        import tfx

        versions["tfx"] = tfx.__version__
    return {
        "format": 2,
        "kind": "series",
        "model": MODEL_FILE,
        "sha256": exported["sha256"],
        "schema_hash": spec.schema_hash,
        "base_schema_hash": spec.base_schema_hash,
        "season": spec.season,
        "horizon": spec.horizon,
        **({} if spec.step_ms is None else {"step_ms": spec.step_ms}),
        "levels": spec.levels,
        "features": spec.features,
        "groups": spec.groups,
        "inputs": exported["inputs"],
        "training": {
            "pipeline": pipeline,
            "series": spec.series,
            "examples": spec.examples,
            "data_sha256": spec.data_sha256,
            "files_key": spec.key,
            "seed": spec.seed,
            "settings": settings,
            "recurrent_share": ensemble.blend,
            "correction": ensemble.correction,
            "halves": {name: round(loss, 6) for name, loss in ensemble.halves.items()},
            "conformal_offsets": [round(float(v), 6) for v in ensemble.offsets],
            "parity_rows": exported["parity_rows"],
            "parity_max_abs_diff": exported["parity_max_abs_diff"],
            "versions": versions,
        },
        "gate": gate,
        "moved_inputs": moved or {},
        "feature_statistics": spec.feature_statistics,
        **({} if spec.load_statistics is None else {"load_statistics": spec.load_statistics}),
    }


def judged(forecast: np.ndarray, examples: Examples, calibration: Examples, spec: Spec) -> dict:
    naive = scores.naive_quantiles(examples.seasonal_naive, calibration, spec)
    return {
        "model": scores.of(forecast, examples, spec),
        "seasonal_naive": scores.of(naive, examples, spec),
        "slices": scores.by_slice(forecast, naive, examples, spec),
    }


def said_by(blessed: str, gate: Examples, spec: Spec) -> np.ndarray | None:
    """What the model of a folder says on the same origins; None where it was made for other inputs, levels or another shape."""
    manifest = Path(blessed) / MANIFEST_FILE
    about = json.loads(manifest.read_text()) if manifest.exists() else {}
    same = all(about.get(name, getattr(spec, name)) == getattr(spec, name) for name in ("season", "horizon", "levels"))
    seen = as_seen_by(gate, about, spec) if same else None
    if seen is None:
        progress("the model in use was made for other inputs; the seasonal naive forecast alone is the bar")
        return None
    return parity.run(parity.session_of((Path(blessed) / MODEL_FILE).read_bytes()), seen)


def card(about: dict, spec: Spec) -> str:
    training, gate = about["training"], about["gate"]
    settings = training["settings"]["trees"]
    signs = f" with monotone signs on {sum(map(abs, spec.monotone))} of {len(spec.features)} inputs" if settings["monotone"] else ""
    parts = [f"{settings['rounds']} rounds of XGBoost quantile trees of depth {settings['depth']}{signs}"]
    if training["recurrent_share"] > 0:
        parts.append(f"an LSTM of {training['settings']['recurrent']['units']} units ({100 * training['recurrent_share']:.0f} % of the forecast)")
    lines = "\n".join(
        f"| {name.replace('_', ' ')} | {gate[name]['mase']:.4f} | {gate[name]['pinball']:.4f} | "
        + " ".join(f"{share:.3f}" for share in gate[name]["coverage"])
        + " |"
        for name in ("model", "seasonal_naive")
    )
    slices = "\n".join(
        f"| {name} | {one['mase']:.4f} | {one['seasonal_naive_mase']:.4f} | " + " ".join(f"{share:.3f}" for share in one["coverage"]) + f" | {one['count']} |"
        for name, one in gate["slices"].items()
    )
    groups = ", ".join(group["name"] for group in spec.groups) or "none"
    names = ", ".join(series["name"] for series in spec.series)
    spans = spec.series[0]["splits"]
    return f"""# Series model: season {spec.season}, horizon {spec.horizon}

Quantiles ({", ".join(map(str, spec.levels))}) of the next {spec.horizon} steps of a regular series with a season of {spec.season} steps.
{" and ".join(parts)}
correct an anchor forecast that the feature builder computes (families of simple forecasts, weighed by their recent errors); {100 * training["correction"]:.0f} % of
their own median is believed, the rest of the correction is how wide the forecast is. Blend, sorting of the quantiles and conformal
offsets are in the graph. Pinball loss where they were blended: {", ".join(f"{name} {loss:.4f}" for name, loss in training["halves"].items())}. Written by the training pipeline ({training["pipeline"]}); the manifest beside this page is what is checked.

## Made from
{names}: steps {spans["train"][0]} to {spans["train"][1]} fitted, to {spans["eval"][1]} tuned and calibrated, to {spans["gate"][1]} judged
(of the first series). {training["examples"]["train"]} training origins from copies with injected level shifts, seed {training["seed"]}, data sha256
`{training["data_sha256"][:16]}…`, feature schema `{spec.schema_hash}`, feature groups beside the series' own past: {groups}. The file differs from the trained halves by at most {training["parity_max_abs_diff"]:.1e} over {training["parity_rows"]} rows.

## How good
On the last span, which nothing was fitted, tuned or calibrated on. Errors in units of the mean absolute seasonal difference.

| forecast | MASE | pinball | coverage at {" ".join(map(str, spec.levels))} |
|---|---|---|---|
{lines}
{f'''
| slice | MASE | seasonal naive | coverage at {" ".join(map(str, spec.levels))} | steps |
|---|---|---|---|---|
{slices}
''' if slices else ""}

{f"Inputs whose distribution moved before the judged span, or between it and what the server asked: {', '.join(sorted(about['moved_inputs'])) or 'none'}." if training["pipeline"] == "tfx" else "Whether inputs moved was not looked at: that is done by the whole pipeline."}

## Limits
{"Knows nothing but the past of the series." if not spec.groups else "Its feature groups are told what they are made of, or the fall-back answers."} Needs one season and {max(2 * spec.horizon, round(spec.season / 3))} steps of past; a gap counts as the last reading.
Judged on one span of time; offsets are from one span too, so coverage drifts when the series changes its ways.
"""


def write(folder: Path, about: dict, spec: Spec) -> None:
    (folder / CARD_FILE).write_text(card(about, spec))
    # Last, so that a folder without it is not a model.
    (folder / MANIFEST_FILE).write_text(json.dumps(about, indent=1) + "\n")
