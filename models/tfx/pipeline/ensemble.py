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
#: Windows of one horizon in the calibration span that weigh as much as the whole training span: see `shrunk_offsets`.
PRIOR_WINDOWS = 20
#: Training origins that the prior offsets are taken of.
PRIOR_ORIGINS = 2_500
#: Shares of the halves' own median that are tried. A correction of the anchor that was learnt on a few days must earn its place.
CORRECTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: A larger correction is taken only for a loss that is smaller by this share.
WORTH = 0.002


@dataclass
class Ensemble:
    booster: xgboost.Booster
    settings: dict
    #: Arrays of the recurrent half; empty where it was not trained.
    network: dict[str, np.ndarray] = field(default_factory=dict)
    #: Share of the recurrent half in the forecast.
    blend: float = 0.0
    #: Share of the halves' median in the forecast; at nought the anchor is the median and the halves say how wide it is.
    correction: float = 1.0
    #: Least loss of the trees, of the network and of both on the span that they were blended on.
    halves: dict[str, float] = field(default_factory=dict)
    #: Per level, in units of the forecast's own width.
    offsets: np.ndarray | None = None

    def save(self, folder: str | Path, spec: Spec) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "trees.json").write_bytes(self.booster.save_raw("json"))
        np.savez(folder / "network.npz", **self.network)
        about = {"settings": self.settings, "blend": self.blend, "correction": self.correction, "halves": self.halves, "offsets": [float(v) for v in self.offsets]}
        (folder / "ensemble.json").write_text(json.dumps(about))

    @staticmethod
    def load(folder: str | Path) -> "Ensemble":
        folder = Path(folder)
        booster = xgboost.Booster()
        booster.load_model(bytearray((folder / "trees.json").read_bytes()))
        about = json.loads((folder / "ensemble.json").read_text())
        with np.load(folder / "network.npz") as arrays:
            network = {name: arrays[name] for name in arrays.files}
        offsets = np.array(about["offsets"], np.float32)
        return Ensemble(booster, about["settings"], network, about["blend"], about["correction"], about["halves"], offsets)


def at_steps(forecast: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Of [N, H, Q] the drawn steps, [N, K, Q]."""
    steps = features[:, :, 0].astype(np.int64) - 1
    return np.take_along_axis(forecast, steps[:, :, None], axis=1)


def mixed(of_trees: np.ndarray, of_network: np.ndarray | None, blend: float) -> np.ndarray:
    if of_network is None or blend == 0:
        return of_trees
    share = np.float32(blend)
    return np.sort(of_trees * (np.float32(1) - share) + of_network * share, axis=-1)


def corrected(forecast: np.ndarray, correction: float, spec: Spec) -> np.ndarray:
    """Moves all levels towards the anchor (nought) until the median is this share of what it was."""
    return forecast - forecast[..., spec.median, None] * (np.float32(1) - np.float32(correction))


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


def calibration_windows(spec: Spec) -> float:
    """Horizons that fit into the calibration span, mean over series: what is independent of each other in it."""
    spans = [one["splits"]["eval"] for one in spec.series]
    return float(np.mean([(end - start) / spec.horizon for start, end in spans]))


def shrunk_offsets(fitted: np.ndarray, held_out: np.ndarray, spec: Spec) -> np.ndarray:
    """
    Offsets between those of the training span, which know how narrow the halves are by their making, and those of the calibration span. A
    span of W horizons counts W / (W + PRIOR_WINDOWS): its offsets are those of a few windows, which happened to be rough or calm.
    """
    weight = calibration_windows(spec) / (calibration_windows(spec) + PRIOR_WINDOWS)
    return (fitted + np.float32(weight) * (held_out - fitted)).astype(np.float32)


def pinball(forecast: np.ndarray, target: np.ndarray, levels: list[float]) -> np.ndarray:
    """Mean over levels, shape of the target."""
    q = np.array(levels)
    error = target[..., None] - forecast
    return np.maximum(q * error, (q - 1) * error).mean(axis=-1)


def best_correction(forecast: np.ndarray, target: np.ndarray, spec: Spec) -> tuple[float, float]:
    """The least correction whose loss is nearly the least, and that loss."""
    best, least = 0.0, np.inf
    for correction in CORRECTIONS:
        loss = float(pinball(corrected(forecast, correction, spec), target, spec.levels).mean())
        if loss < least * (1 - WORTH):
            best, least = correction, loss
    return best, least


def best_blend(of_trees: np.ndarray, of_network: np.ndarray | None, target: np.ndarray, spec: Spec) -> tuple[float, float, float]:
    """The blend with the least pinball loss, its correction, and that loss."""
    choices = [0.0] if of_network is None else spec.effort["blends"]
    tried = [(*best_correction(mixed(of_trees, of_network, blend), target, spec), blend) for blend in choices]
    correction, loss, blend = min(tried, key=lambda one: one[1])
    return blend, correction, loss


def fit(train: Examples, held_out: Examples, spec: Spec, settings: dict, with_network: bool, progress=lambda text: None) -> tuple[Ensemble, float]:
    """Fits both halves on `train`; blend and offsets come from `held_out`, which neither half saw, offsets from both. Returns the loss there too."""
    booster = trees.fit(train, spec, settings["trees"], spec.seed, progress)
    of_trees = trees.predict(booster, held_out.features, spec)
    network, of_network = {}, None
    if with_network:
        model = recurrent.fit(train, spec, settings["recurrent"], spec.seed, progress)
        of_network = at_steps(recurrent.predict(model, held_out.sequence, held_out.context), held_out.features)
        network = recurrent.weights_of(model)
    blend, correction, loss = best_blend(of_trees, of_network, held_out.target, spec)
    halves = {"trees": best_correction(of_trees, held_out.target, spec)[1], "both": loss}
    if of_network is not None:
        halves["recurrent"] = best_correction(np.sort(of_network, axis=-1), held_out.target, spec)[1]
    def offsets_of(of_trees, of_network, target):
        return conformal_offsets(corrected(mixed(of_trees, of_network, blend), correction, spec), target, spec)

    sample = train.take(np.sort(np.random.default_rng(spec.seed).permutation(len(train))[:PRIOR_ORIGINS]))
    of_network_there = at_steps(recurrent.predict(model, sample.sequence, sample.context), sample.features) if with_network else None
    fitted = offsets_of(trees.predict(booster, sample.features, spec), of_network_there, sample.target)
    offsets = shrunk_offsets(fitted, offsets_of(of_trees, of_network, held_out.target), spec)
    return Ensemble(booster, settings, network, blend, correction, halves, offsets), loss


def predict(ensemble: Ensemble, examples: Examples, spec: Spec) -> np.ndarray:
    """What the exported file must compute: [N, K, levels]."""
    of_trees = trees.predict(ensemble.booster, examples.features, spec)
    of_network = None
    if ensemble.network:
        model = recurrent.from_weights(spec, ensemble.settings["recurrent"], ensemble.network)
        of_network = at_steps(recurrent.predict(model, examples.sequence, examples.context), examples.features)
    raw = corrected(mixed(of_trees, of_network, ensemble.blend), ensemble.correction, spec)
    return calibrated(raw, ensemble.offsets)
