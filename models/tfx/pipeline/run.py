"""The TFX pipeline on one folder of training files.

    ImportExampleGen - StatisticsGen - SchemaGen - ExampleValidator, DriftAndSkew
            |- LeakGuard - Tuner - Trainer - OnnxExporter - OnnxScorer - Evaluator - Pusher

Run as `python -m pipeline.run --files DIR --work DIR --out DIR`. A component whose inputs and parameters are those of an earlier
run is not run again, so an interrupted run goes on where it stopped. Ends with 0 when the model was blessed and pushed, 3 when it
was not, 4 on a leak, 1 on any other failure.
"""

import argparse
import hashlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import tensorflow as tf  # noqa: E402
import tensorflow_model_analysis as tfma  # noqa: E402
from absl import logging as absl_logging  # noqa: E402
from tensorflow_model_analysis.proto import config_pb2  # noqa: E402
from tfx.v1 import components, dsl, orchestration, proto  # noqa: E402

from pipeline import components as own  # noqa: E402
from pipeline.leak_guard import LeakFound  # noqa: E402
from pipeline.progress import progress  # noqa: E402
from pipeline.spec import Spec  # noqa: E402
from pipeline.starter import end_with_starter  # noqa: E402

#: Beam's default runner would try to fetch a runner of its own from the network.
BEAM = ["--direct_running_mode=in_memory", "--direct_num_workers=1"]
#: How much worse than the reference a slice may be, in units of the reference's loss. Slices are small, the whole is not.
WORST_OVERALL = {"seasonal_naive": 0.0, "blessed": 0.0}
WORST_SLICE = {"seasonal_naive": 0.1, "blessed": 0.25}
REFERENCES = {"seasonal_naive": "the seasonal naive forecast", "blessed": "the model in use"}
#: Jensen-Shannon divergence above which an input counts as moved.
DRIFT = 0.3


def eval_config(spec: Spec) -> tfma.EvalConfig:
    def bound(most: float) -> tfma.MetricThreshold:
        return tfma.MetricThreshold(value_threshold=tfma.GenericValueThreshold(upper_bound={"value": most}))

    def metrics(reference: str) -> tfma.MetricsSpec:
        slices = [
            config_pb2.PerSliceMetricThreshold(slicing_specs=[tfma.SlicingSpec(feature_keys=[name])], threshold=bound(WORST_SLICE[reference]))
            for name in spec.slices
        ]
        whole = config_pb2.PerSliceMetricThreshold(slicing_specs=[tfma.SlicingSpec()], threshold=bound(WORST_OVERALL[reference]))
        return tfma.MetricsSpec(
            model_names=[f"over_{reference}"],
            metrics=[tfma.MetricConfig(class_name="MeanPrediction", per_slice_thresholds=[whole, *slices])],
        )

    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(name=f"over_{one}", prediction_key=f"over_{one}", label_key="nought") for one in REFERENCES],
        slicing_specs=[tfma.SlicingSpec(), *(tfma.SlicingSpec(feature_keys=[name]) for name in spec.slices)],
        metrics_specs=[metrics(one) for one in REFERENCES],
    )


def pipeline_of(spec: Spec, files: Path, work: Path, blessed: str, served: str) -> dsl.Pipeline:
    # A part of every parameter list that leads to files, so that other files make another key of the cache.
    data = spec.key
    own_args = {"spec_path": str(files / "spec.json"), "data": data}
    splits = [proto.Input.Split(name=name, pattern=f"{name}/*") for name in ("train", "eval", "gate")]
    example_gen = components.ImportExampleGen(input_base=str(files / "examples"), input_config=proto.Input(splits=splits))
    examples = example_gen.outputs["examples"]
    statistics = components.StatisticsGen(examples=examples)
    schema = components.SchemaGen(statistics=statistics.outputs["statistics"], infer_feature_shape=True)
    validator = components.ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"])
    drift = own.DriftAndSkew(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"], served=served, served_digest=digest_of(served and str(Path(served) / "served.bin")),
        threshold=DRIFT, **own_args,
    )
    guard = own.LeakGuard(examples=examples, **own_args)
    config = {"spec": own_args["spec_path"], "data": data}
    split_args = {"train_args": proto.TrainArgs(splits=["train"]), "eval_args": proto.EvalArgs(splits=["eval"])}
    nodes = [example_gen, statistics, schema, validator, drift, guard]
    hyperparameters = None
    if spec.effort["trials"] > 0:
        tuner = components.Tuner(
            tuner_fn="pipeline.tuner.tuner_fn", examples=examples, schema=schema.outputs["schema"], custom_config=config, **split_args
        )
        tuner.add_upstream_nodes([guard, validator])
        hyperparameters = tuner.outputs["best_hyperparameters"]
        nodes.append(tuner)
    trainer = components.Trainer(
        run_fn="pipeline.trainer.run_fn", examples=examples, schema=schema.outputs["schema"], hyperparameters=hyperparameters,
        custom_config=config, **split_args,
    )
    trainer.add_upstream_nodes([guard, validator])
    exporter = own.OnnxExporter(trained=trainer.outputs["model"], examples=examples, **own_args)
    blessed_file = str(Path(blessed) / "forecast.onnx") if blessed else ""
    scorer = own.OnnxScorer(
        exported=exporter.outputs["exported"], examples=examples, blessed=blessed, blessed_digest=digest_of(blessed_file), **own_args
    )
    packager = own.Packager(
        exported=exporter.outputs["exported"], trained=trainer.outputs["model"], scored=scorer.outputs["scored"],
        anomalies=drift.outputs["anomalies"], **own_args,
    )
    # The Evaluator names the packaged model in its blessing; module_path keeps it from loading it as a TensorFlow model.
    evaluator = components.Evaluator(
        examples=scorer.outputs["scored"], model=packager.outputs["packaged"], example_splits=["gate"],
        eval_config=eval_config(spec), module_path="pipeline.gate",
    )
    pusher = components.Pusher(
        model=packager.outputs["packaged"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=proto.PushDestination(filesystem=proto.PushDestination.Filesystem(base_directory=str(work / "pushed"))),
    )
    return dsl.Pipeline(
        pipeline_name="series",
        pipeline_root=str(work / "artifacts"),
        metadata_connection_config=orchestration.metadata.sqlite_metadata_connection_config(str(work / "metadata.sqlite")),
        components=[*nodes, trainer, exporter, scorer, packager, evaluator, pusher],
        enable_cache=True,
        beam_pipeline_args=BEAM,
    )


class _Steps(logging.Handler):
    """TFX says which component runs in its log only."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith("Component ") and text.rstrip(".").endswith(("is running", "is finished")):
            progress(text.removeprefix("Component ").rstrip("."))


def digest_of(path: str) -> str:
    """A part of the cache's key, so that another file in the same place is read again."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else ""


def last_pushed(work: Path) -> Path | None:
    versions = sorted((p for p in (work / "pushed").glob("*") if (p / "manifest.json").exists()), key=lambda p: int(p.name))
    return versions[-1] if versions else None


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def misses(work: Path) -> Iterator[str]:
    """What the last evaluation held against the model, a line for each threshold that was missed."""
    last = max((work / "artifacts/Evaluator/evaluation").iterdir(), key=lambda version: int(version.name))
    for part in tfma.load_validation_result(str(last)).metric_validations_per_slice:
        keys = part.slice_key.single_slice_keys
        where = "".join(f" where {key.column} is {key.bytes_value.decode()}" for key in keys)
        for failure in part.failures:
            more, most = failure.metric_value.double_value.value, failure.metric_threshold.value_threshold.upper_bound.value
            reference = REFERENCES[failure.metric_key.model_name.removeprefix("over_")]
            yield f"{100 * more:.3g} % more loss than {reference}{where}, at most {100 * most:g} % is allowed"


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("files", "work", "out"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--blessed", default="", help="folder of the model in use, which has to be beaten")
    parser.add_argument("--served", default="", help="folder of the inputs that a server asked its model with")
    parser.add_argument("--anew", action="store_true", help="run although the same files were blessed before: what changed, runs")
    parser.add_argument("--with-starter", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    if arguments.with_starter:
        end_with_starter()
    absl_logging.set_verbosity(absl_logging.INFO)
    root = absl_logging.get_absl_logger()
    root.propagate = False
    root.handlers = [_Steps()]
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    spec = Spec.load(arguments.files / "spec.json")
    arguments.work.mkdir(parents=True, exist_ok=True)
    before = last_pushed(arguments.work)
    blessed = arguments.blessed
    # It was judged before; against another model in use it has to be judged again.
    same = before and manifest_of(before)["training"]["files_key"] == spec.key
    if same and not arguments.anew and (not blessed or manifest_of(Path(blessed))["sha256"] == manifest_of(before)["sha256"]):
        progress("the same files were trained on and blessed before")
        return deliver(before, arguments.out)
    try:
        orchestration.LocalDagRunner().run(pipeline_of(spec, arguments.files, arguments.work, blessed, arguments.served))
    except Exception as error:
        leak = _leak_of(error)
        if leak is None:
            raise
        print(leak, file=sys.stderr)
        return 4
    after = last_pushed(arguments.work)
    if after is None or after == before:
        for miss in misses(arguments.work):
            progress(f"gate: {miss}")
        progress("not blessed: a threshold of the gate was missed; nothing was pushed")
        return 3
    return deliver(after, arguments.out)


def deliver(pushed: Path, out: Path) -> int:
    out.mkdir(parents=True, exist_ok=True)
    # The manifest last: a folder without it is not a model.
    for name in sorted(os.listdir(pushed), key=lambda one: one == "manifest.json"):
        shutil.copy2(pushed / name, out / name)
    return 0


def _leak_of(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, LeakFound) or "LEAK: " in str(error):
            return str(error)
        error = error.__cause__ or error.__context__
    return None


if __name__ == "__main__":
    sys.exit(main())
