"""Both halves together: blend, repair of crossing quantiles, conformal offsets. NumPy here, the same in the ONNX graph."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xgboost

from pipeline import recurrent, trees
from pipeline.records import Examples
from pipeline.spec import Spec

#: Added to a forecast's own width, in units of the scale, so that an offset means something where the width is nought.
LEAST_WIDTH = 0.05


@dataclass
class Ensemble:
    booster: xgboost.Booster
    settings: dict
    #: Arrays of the recurrent half; empty where it was not trained.
    network: dict[str, np.ndarray] = field(default_factory=dict)
    #: Share of the recurrent half in the forecast.
    blend: float = 0.0
    #: Per level, in units of the forecast's own width.
    offsets: np.ndarray | None = None

    def save(self, folder: str | Path, spec: Spec) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "trees.json").write_bytes(self.booster.save_raw("json"))
        np.savez(folder / "network.npz", **self.network)
        about = {"settings": self.settings, "blend": self.blend, "offsets": [float(v) for v in self.offsets]}
        (folder / "ensemble.json").write_text(json.dumps(about))

    @staticmethod
    def load(folder: str | Path) -> "Ensemble":
        folder = Path(folder)
        booster = xgboost.Booster()
        booster.load_model(bytearray((folder / "trees.json").read_bytes()))
        about = json.loads((folder / "ensemble.json").read_text())
        with np.load(folder / "network.npz") as arrays:
            network = {name: arrays[name] for name in arrays.files}
        return Ensemble(booster, about["settings"], network, about["blend"], np.array(about["offsets"], np.float32))


def at_steps(forecast: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Of [N, H, Q] the drawn steps, [N, K, Q]."""
    steps = features[:, :, 0].astype(np.int64) - 1
    return np.take_along_axis(forecast, steps[:, :, None], axis=1)


def mixed(of_trees: np.ndarray, of_network: np.ndarray | None, blend: float) -> np.ndarray:
    if of_network is None or blend == 0:
        return of_trees
    share = np.float32(blend)
    return np.sort(of_trees * (np.float32(1) - share) + of_network * share, axis=-1)


def calibrated(forecast: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    width = forecast[..., -1:] - forecast[..., :1] + np.float32(LEAST_WIDTH)
    return np.sort(forecast + width * offsets.astype(np.float32), axis=-1)


def conformal_offsets(forecast: np.ndarray, target: np.ndarray, spec: Spec) -> np.ndarray:
    """
    Split-conformal quantile offsets (Romano et al., 2019, one-sided per level) of errors in units of the forecast's own width. The
    median stays: it is what the point error is taken of, and a shift of one span would be noise in the next.
    """
    width = (forecast[..., -1:] - forecast[..., :1] + LEAST_WIDTH).reshape(-1, 1)
    errors = (target.reshape(-1, 1) - forecast.reshape(-1, len(spec.levels))) / width
    n = len(errors)
    offsets = [np.quantile(errors[:, i], min(1.0, np.ceil((n + 1) * q) / n)) for i, q in enumerate(spec.levels)]
    offsets[spec.median] = 0.0
    return np.array(offsets, np.float32)


def pinball(forecast: np.ndarray, target: np.ndarray, levels: list[float]) -> np.ndarray:
    """Mean over levels, shape of the target."""
    q = np.array(levels)
    error = target[..., None] - forecast
    return np.maximum(q * error, (q - 1) * error).mean(axis=-1)


def best_blend(of_trees: np.ndarray, of_network: np.ndarray | None, target: np.ndarray, spec: Spec) -> tuple[float, float]:
    """The blend with the least pinball loss, and that loss."""
    choices = [0.0] if of_network is None else spec.effort["blends"]
    losses = [float(pinball(mixed(of_trees, of_network, blend), target, spec.levels).mean()) for blend in choices]
    best = int(np.argmin(losses))
    return choices[best], losses[best]


def fit(train: Examples, held_out: Examples, spec: Spec, settings: dict, with_network: bool, progress=lambda text: None) -> tuple[Ensemble, float]:
    """Fits both halves on `train`; blend and offsets come from `held_out`, which neither half saw. Returns the loss there too."""
    booster = trees.fit(train, spec, settings["trees"], spec.seed, progress)
    of_trees = trees.predict(booster, held_out.features, spec)
    network, of_network = {}, None
    if with_network:
        model = recurrent.fit(train, spec, settings["recurrent"], spec.seed, progress)
        of_network = at_steps(recurrent.predict(model, held_out.sequence, held_out.context), held_out.features)
        network = recurrent.weights_of(model)
    blend, loss = best_blend(of_trees, of_network, held_out.target, spec)
    raw = mixed(of_trees, of_network, blend)
    offsets = conformal_offsets(raw, held_out.target, spec)
    return Ensemble(booster, settings, network, blend, offsets), loss


def predict(ensemble: Ensemble, examples: Examples, spec: Spec) -> np.ndarray:
    """What the exported file must compute: [N, K, levels]."""
    of_trees = trees.predict(ensemble.booster, examples.features, spec)
    of_network = None
    if ensemble.network:
        model = recurrent.from_weights(spec, ensemble.settings["recurrent"], ensemble.network)
        of_network = at_steps(recurrent.predict(model, examples.sequence, examples.context), examples.features)
    return calibrated(mixed(of_trees, of_network, ensemble.blend), ensemble.offsets)
