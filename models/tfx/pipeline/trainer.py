"""Fits both halves with the tuner's settings; blend and offsets come from the `eval` split. `gate` is not read here."""

import keras_tuner
import numpy as np

from pipeline import ensemble
from pipeline.progress import progress
from pipeline.records import from_tfrecords
from pipeline.spec import Spec
from pipeline.tuner import space


def run_fn(fn_args) -> None:
    spec = Spec.load(fn_args.custom_config["spec"])
    chosen = keras_tuner.HyperParameters()
    if fn_args.hyperparameters:
        chosen = keras_tuner.HyperParameters.from_config(fn_args.hyperparameters)
    settings = space(chosen, spec.effort)
    train, held_out = from_tfrecords(fn_args.train_files, spec), from_tfrecords(fn_args.eval_files, spec)
    progress(f"training on {len(train)} origins, calibrating on {len(held_out)}")
    fitted, loss = ensemble.fit(train, held_out, spec, settings, with_network=True, progress=progress)
    progress(f"trained: pinball loss {loss:.5f}, {100 * fitted.blend:.0f} % from the recurrent half")
    fitted.settings = settings | {"rows": int(np.prod(train.target.shape))}
    fitted.save(fn_args.serving_model_dir, spec)
