"""Distributions of inputs: of training, of the span that is judged, and of what a server asked its model with."""

import json
from pathlib import Path

import numpy as np

from pipeline.progress import progress
from pipeline.spec import Spec

#: Fewer rows say little about a distribution.
LEAST_ROWS = 200


def served_statistics(folder: str, spec: Spec):
    """TFDV statistics of the sample that `ServedInputs` left in a folder; None, with the reason, where it does not fit."""
    import pandas
    import tensorflow_data_validation as tfdv

    about = json.loads((Path(folder) / "served.json").read_text())
    if about["schema_hash"] != spec.schema_hash:
        progress(f"skew: the served inputs have schema {about['schema_hash']}, the training files {spec.schema_hash}; not compared")
        return None
    if about["rows"] < LEAST_ROWS:
        progress(f"skew: only {about['rows']} served inputs; at least {LEAST_ROWS} are compared")
        return None
    rows = np.fromfile(Path(folder) / "served.bin", dtype="<f4").reshape(about["rows"], len(about["columns"]))
    frame = pandas.DataFrame(rows, columns=[f"x_{name}" for name in about["columns"]])
    return tfdv.generate_statistics_from_dataframe(frame, n_jobs=1)


def moved(found, kind: str) -> dict[str, str]:
    """By input, what TFDV says of how its distribution moved. Targets, and other findings (a missing label in serving), are none of these."""
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    return {
        f"{kind} of {name.removeprefix('x_')}": reason.description
        for name, one in found.anomaly_info.items()
        if name.startswith("x_") or name in ("sequence", "context")
        for reason in one.reason
        if anomalies_pb2.AnomalyInfo.Type.Name(reason.type).startswith("COMPARATOR")
    }
