"""The components that TFX does not bring: leak guard, drift and skew, exporter, scorer of the exported file, packager."""

import json
import shutil
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import Examples as ExamplesArtifact
from tfx.types.standard_artifacts import ExampleAnomalies, ExampleStatistics, Model, Schema, String
from tfx.utils import io_utils

from pipeline import drift, ensemble, leak_guard, package, parity, scores
from pipeline.ensemble import Ensemble
from pipeline.progress import progress
from pipeline.records import from_tfrecords
from pipeline.spec import Spec

SERVING = "Format-Serving"
#: A reference that makes no error at all is not beaten; this keeps the share finite.
LEAST_LOSS = 1e-12


def examples_of(artifact, split: str, spec: Spec):
    return from_tfrecords(artifact_utils.get_split_uri([artifact], split), spec)


@component
def LeakGuard(examples: InputArtifact[ExamplesArtifact], verdict: OutputArtifact[String], spec_path: Parameter[str], data: Parameter[str]):
    """Ends the pipeline when an input knows what comes later or a split reaches into another."""
    spec = Spec.load(spec_path)
    witnesses = from_tfrecords(str(Path(spec_path).parent / "witness"), spec)
    leak_guard.check({split: examples_of(examples, split, spec) for split in ("train", "eval", "gate")}, witnesses, spec)
    verdict.value = "no leak found"


@component
def DriftAndSkew(
    statistics: InputArtifact[ExampleStatistics],
    schema: InputArtifact[Schema],
    anomalies: OutputArtifact[ExampleAnomalies],
    served: Parameter[str],
    served_digest: Parameter[str],
    spec_path: Parameter[str],
    data: Parameter[str],
    threshold: Parameter[float],
):
    """
    Compares the distribution of each input on the span that is judged, the newest, with the one before it (drift) and, where the server
    left a sample of the inputs that it asked its model with, with those (skew). The training copies have level shifts injected: against
    them every ordinary day has moved. Found ones are reported; a drifted input alone does not stop a model that the gate finds better.
    """
    import tensorflow_data_validation as tfdv
    from tensorflow_metadata.proto.v0 import schema_pb2

    described = io_utils.parse_pbtxt_file(io_utils.get_only_uri_in_dir(schema.uri), schema_pb2.Schema())
    for feature in described.feature:
        if feature.type == schema_pb2.FLOAT:
            feature.drift_comparator.jensen_shannon_divergence.threshold = threshold
            feature.skew_comparator.jensen_shannon_divergence.threshold = threshold

    def load(split: str):
        return tfdv.load_stats_binary(str(Path(artifact_utils.get_split_uri([statistics], split)) / "FeatureStats.pb"))

    asked = drift.served_statistics(served, Spec.load(spec_path)) if served else None
    moved = drift.moved(tfdv.validate_statistics(load("gate"), described, previous_statistics=load("eval")), "drift")
    if asked is not None:
        moved |= drift.moved(tfdv.validate_statistics(load("gate"), described, serving_statistics=asked), "skew")
    folder = Path(anomalies.uri)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "moved.json").write_text(json.dumps(moved, indent=1, sort_keys=True))
    for kind in ("drift", "skew") if asked is not None else ("drift",):
        count = sum(name.startswith(f"{kind} of ") for name in moved)
        progress(f"{kind}: {count} of {len(described.feature)} inputs moved by more than {threshold}")


@component
def OnnxExporter(
    trained: InputArtifact[Model],
    examples: InputArtifact[ExamplesArtifact],
    exported: OutputArtifact[Model],
    spec_path: Parameter[str],
    data: Parameter[str],
):
    """One graph of both halves, compared with them on random rows; the pipeline ends when they differ."""
    spec = Spec.load(spec_path)
    fitted = Ensemble.load(Path(trained.uri) / SERVING)
    folder = Path(exported.uri) / SERVING
    said = package.export(folder, fitted, examples_of(examples, "eval", spec), spec)
    (Path(exported.uri) / "export.json").write_text(json.dumps(said))
    progress(f"exported {said['bytes']} bytes; parity over {said['parity_rows']} rows: {said['parity_max_abs_diff']:.1e}")


@component
def OnnxScorer(
    exported: InputArtifact[Model],
    examples: InputArtifact[ExamplesArtifact],
    scored: OutputArtifact[ExamplesArtifact],
    spec_path: Parameter[str],
    data: Parameter[str],
    blessed: Parameter[str],
    blessed_digest: Parameter[str],
):
    """
    Runs the exported file itself in onnxruntime on the split that nothing has seen, and writes per origin how much worse it is than
    the seasonal naive forecast and than the last blessed model (below nought = better), in units of their loss.
    """
    import tensorflow as tf

    spec = Spec.load(spec_path)
    gate, calibration = examples_of(examples, "gate", spec), examples_of(examples, "eval", spec)
    blob = (Path(exported.uri) / SERVING / package.MODEL_FILE).read_bytes()
    forecast = parity.run(parity.session_of(blob), gate)
    loss = ensemble.pinball(forecast, gate.target, spec.levels).mean(axis=1)
    naive = scores.naive_quantiles(gate.seasonal_naive, calibration, spec)
    naive_loss = ensemble.pinball(naive, gate.target, spec.levels).mean(axis=1)
    judged = package.judged(forecast, gate, calibration, spec)
    said = package.said_by(blessed, gate, spec) if blessed else None
    before = naive_loss if said is None else ensemble.pinball(said, gate.target, spec.levels).mean(axis=1)
    judged["blessed_pinball"] = None if said is None else float(before.mean())
    (Path(scored.uri)).mkdir(parents=True, exist_ok=True)
    (Path(scored.uri) / "gate.json").write_text(json.dumps(judged))

    scored.split_names = artifact_utils.encode_split_names(["gate"])
    folder = Path(scored.uri) / "Split-gate"
    folder.mkdir(parents=True, exist_ok=True)
    floats = lambda value: tf.train.Feature(float_list=tf.train.FloatList(value=[float(value)]))
    with tf.io.TFRecordWriter(str(folder / "data-00000-of-00001.gz"), tf.io.TFRecordOptions("GZIP")) as writer:
        for i in range(len(gate)):
            columns = {
                "over_seasonal_naive": floats((loss[i] - naive_loss[i]) / max(naive_loss.mean(), LEAST_LOSS)),
                "over_blessed": floats((loss[i] - before[i]) / max(before.mean(), LEAST_LOSS)),
                "nought": floats(0),
            }
            for name in spec.slices:
                columns[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[gate.slices[name][i]]))
            writer.write(tf.train.Example(features=tf.train.Features(feature=columns)).SerializeToString())
    own = judged["model"]
    progress(f"gate: MASE {own['mase']:.4f}, seasonal naive {judged['seasonal_naive']['mase']:.4f}")


@component
def Packager(
    exported: InputArtifact[Model],
    trained: InputArtifact[Model],
    scored: InputArtifact[ExamplesArtifact],
    anomalies: InputArtifact[ExampleAnomalies],
    packaged: OutputArtifact[Model],
    spec_path: Parameter[str],
    data: Parameter[str],
):
    """The exported file with a manifest and a card that say how the gate judged it."""
    spec = Spec.load(spec_path)
    folder = Path(packaged.uri) / SERVING
    shutil.copytree(Path(exported.uri) / SERVING, folder, dirs_exist_ok=True)
    gate = json.loads((Path(scored.uri) / "gate.json").read_text())
    said = json.loads((Path(exported.uri) / "export.json").read_text())
    moved = json.loads((Path(anomalies.uri) / "moved.json").read_text())
    about = package.manifest(said, Ensemble.load(Path(trained.uri) / SERVING), gate, spec, "tfx", moved)
    package.write(folder, about, spec)


