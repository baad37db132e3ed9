"""Bayesian optimisation over both halves at once: one trial trains both and says the pinball loss of their best blend."""

import keras_tuner
import numpy as np
from tfx.components.tuner.component import TunerFnResult

from pipeline import ensemble, recurrent, trees
from pipeline.progress import progress
from pipeline.records import Examples, from_tfrecords
from pipeline.spec import Spec

#: Boosting rounds at most, one tree per level each: a server walks every tree at every step ahead of every service. On the demo's estate
#: 120 rounds of depth 3 cost 56 µs a service and 60 cost 29, for 1.5 % of the loss; 30 of depth 4 at twice the rate lose less than either 60.
MOST_ROUNDS = 60
#: What MOST_ROUNDS must earn over none, as a share of the loss: of two ensembles that err alike the smaller one is taken.
WORTH_OF_ROUNDS = 0.02
#: Origins that a trial trains on at most; the ranking of settings needs fewer than the final fit.
MOST_ORIGINS = 6_000


def space(hp: keras_tuner.HyperParameters, effort: dict) -> dict:
    """The defaults are the first point that Bayesian optimisation tries."""
    rounds, epochs = min(MOST_ROUNDS, effort["maxRounds"]), effort["maxEpochs"]
    return {
        "trees": trees.DEFAULTS
        | {
            "rounds": hp.Int("rounds", min(20, rounds), rounds, step=10, default=rounds),
            "depth": hp.Int("depth", 2, 4, default=3),
            "eta": hp.Float("eta", 0.04, 0.24, step=0.04, default=0.08),
            "min_child_weight": hp.Choice("min_child_weight", [100, 200, 400, 800], default=100),
        },
        "recurrent": recurrent.DEFAULTS
        | {
            "units": hp.Choice("units", [16, 24, 32], default=24),
            "dropout": hp.Float("dropout", 0.1, 0.4, step=0.1, default=0.2),
            "rate": hp.Choice("rate", [1e-3, 3e-3], default=3e-3),
            "epochs": hp.Int("epochs", min(4, epochs), epochs, step=2, default=min(10, epochs)),
        },
    }


class BothHalves(keras_tuner.Tuner):
    def __init__(self, spec: Spec, directory: str):
        self.spec, self.done = spec, 0
        oracle = keras_tuner.oracles.BayesianOptimizationOracle(
            objective=keras_tuner.Objective("loss", "min"),
            max_trials=spec.effort["trials"],
            num_initial_points=min(3, spec.effort["trials"]),
            seed=spec.seed,
        )
        super().__init__(oracle, directory=directory, project_name="both", overwrite=False)

    def run_trial(self, trial, train: Examples, held_out: Examples):
        settings = space(trial.hyperparameters, self.spec.effort)
        _, loss = ensemble.fit(train, held_out, self.spec, settings, with_network=True)
        self.done += 1
        progress(f"tuner: trial {self.done} of {self.spec.effort['trials']}, loss {loss:.5f}")
        # The oracle's Gaussian process takes only finite numbers.
        cost = 1 + WORTH_OF_ROUNDS * settings["trees"]["rounds"] / MOST_ROUNDS
        return {"loss": loss * cost if np.isfinite(loss) else 1e6}

    # Nothing to keep of a trial: the Trainer fits anew from the hyperparameters.
    def save_model(self, trial_id, model, step=0):
        pass

    def load_model(self, trial):
        return None


def tuner_fn(fn_args) -> TunerFnResult:
    spec = Spec.load(fn_args.custom_config["spec"])
    train = from_tfrecords(fn_args.train_files, spec)
    if len(train) > MOST_ORIGINS:
        train = train.take(np.sort(np.random.default_rng(spec.seed).permutation(len(train))[:MOST_ORIGINS]))
    held_out = from_tfrecords(fn_args.eval_files, spec)
    tuner = BothHalves(spec, fn_args.working_dir)
    return TunerFnResult(tuner=tuner, fit_kwargs={"train": train, "held_out": held_out})
