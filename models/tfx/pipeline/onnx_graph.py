"""Writes the ensemble as one ONNX graph.

    features [N, K, F] ─ Reshape ─ TreeEnsembleRegressor ─ Reshape ─ sort ─────── [N, K, Q] ─┐
             └ column 0 (the step) ─ Cast ─ Sub 1 ──────────────┐                            Mix ─ sort ─ + width · offsets ─ sort ─ forecast
    sequence [N, T, C] ─ LSTM ─┬ Concat ─ Dense ─ Relu ─ Dense ─ GatherND ─────── [N, K, Q] ─┘
    context  [N, H, D] ────────┘

Without a recurrent half the lower branch and its two inputs are absent. Dropout is nothing at inference. Keras keeps the gates of
an LSTM as i, f, c, o and ONNX as i, o, f, c; Keras multiplies from the right, ONNX by the transpose; both cells are otherwise the same.
"""

import json
import sys
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from pipeline.ensemble import LEAST_WIDTH, Ensemble
from pipeline.spec import Spec

sys.path.append(str(Path(__file__).resolve().parents[2] / "trees"))
from onnx_export import IR_VERSION, ML_OPSET, OPSET, tree_attributes  # noqa: E402

MODEL_FILE = "forecast.onnx"


def reordered(gates: np.ndarray) -> np.ndarray:
    """Last axis [i f c o] to [i o f c]."""
    i, f, c, o = np.split(gates, 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)


class _Graph:
    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name: str, value, dtype) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(value, dtype=dtype)), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def sort(self, value: str, output: str) -> str:
        self.nodes.append(helper.make_node("TopK", [value, "levels"], [output, f"{output}_order"], axis=2, largest=0, sorted=1))
        return output


def build(ensemble: Ensemble, spec: Spec, metadata: dict[str, str]) -> ModelProto:
    g, levels, columns = _Graph(), len(spec.levels), len(spec.features)
    g.constant("levels", [levels], np.int64)
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["origins", "steps", columns])]

    flat = g.node("Reshape", ["features", g.constant("flat", [-1, columns], np.int64)], "flat_features")
    attributes = tree_attributes(json.loads(ensemble.booster.save_raw("json")), levels)
    regressor = {"domain": "ai.onnx.ml", "n_targets": levels, "aggregate_function": "SUM", "post_transform": "NONE"}
    g.node("TreeEnsembleRegressor", [flat], "flat_trees", **regressor, **attributes)
    shape = g.node("Shape", ["features"], "features_shape", end=2)
    g.node("Concat", [shape, "levels"], "rows_shape", axis=0)
    g.node("Reshape", ["flat_trees", "rows_shape"], "crossing")
    said = g.sort("crossing", "trees")

    if ensemble.network and ensemble.blend > 0:
        inputs.append(helper.make_tensor_value_info("sequence", TensorProto.FLOAT, ["origins", *spec.sequence]))
        inputs.append(helper.make_tensor_value_info("context", TensorProto.FLOAT, ["origins", *spec.context]))
        recurrent = _network(g, ensemble.network, spec)
        share = np.float32(ensemble.blend)
        g.node("Mul", [said, g.constant("share_trees", np.float32(1) - share, np.float32)], "part_trees")
        g.node("Mul", [recurrent, g.constant("share_network", share, np.float32)], "part_network")
        said = g.node("Add", ["part_trees", "part_network"], "mixed")

    g.sort(said, "believed")
    g.node("Gather", ["believed", g.constant("median_index", [spec.median], np.int64)], "median", axis=2)
    rest = np.float32(1) - np.float32(ensemble.correction)
    g.node("Mul", ["median", g.constant("rest", rest, np.float32)], "withdrawn")
    g.node("Sub", ["believed", "withdrawn"], "ordered")
    for name, index in (("lowest", 0), ("highest", levels - 1)):
        g.node("Gather", ["ordered", g.constant(f"{name}_index", [index], np.int64)], name, axis=2)
    g.node("Sub", ["highest", "lowest"], "spread")
    g.node("Add", ["spread", g.constant("least_width", LEAST_WIDTH, np.float32)], "width")
    g.node("Mul", ["width", g.constant("offsets", ensemble.offsets, np.float32)], "shift")
    g.node("Add", ["ordered", "shift"], "shifted")
    g.sort("shifted", "forecast")

    output = helper.make_tensor_value_info("forecast", TensorProto.FLOAT, ["origins", "steps", levels])
    graph = helper.make_graph(g.nodes, "ballast_series", inputs, [output], g.constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="ballast")
    helper.set_model_props(model, metadata)
    checker.check_model(model, full_check=True)
    return model


def _network(g: _Graph, weights: dict[str, np.ndarray], spec: Spec) -> str:
    units = weights["recurrent"].shape[0]
    by_time = g.node("Transpose", ["sequence"], "by_time", perm=[1, 0, 2])
    w = g.constant("lstm_w", reordered(weights["kernel"]).T[None], np.float32)
    r = g.constant("lstm_r", reordered(weights["recurrent"]).T[None], np.float32)
    bias = reordered(weights["bias"])
    b = g.constant("lstm_b", np.concatenate([bias, np.zeros_like(bias)])[None], np.float32)
    g.nodes.append(helper.make_node("LSTM", [by_time, w, r, b], ["", "last_state"], hidden_size=units))
    state = g.node("Squeeze", ["last_state", g.constant("first_axis", [0], np.int64)], "state")
    one = g.node("Unsqueeze", [state, g.constant("second_axis", [1], np.int64)], "one_state")
    repeated = g.node("Expand", [one, g.constant("every_horizon_step", [1, spec.horizon, 1], np.int64)], "states")
    source = g.node("Concat", [repeated, "context"], "joined", axis=2)
    for layer in ("dense", "head"):
        product = g.node("MatMul", [source, g.constant(f"{layer}_kernel", weights[f"{layer}_kernel"], np.float32)], f"{layer}_product")
        source = g.node("Add", [product, g.constant(f"{layer}_bias", weights[f"{layer}_bias"], np.float32)], f"{layer}_out")
        if layer == "dense":
            source = g.node("Relu", [source], "dense_on")
    column = g.node("Gather", ["features", g.constant("step_column", [0], np.int64)], "step_values", axis=2)
    whole = g.node("Cast", [column], "step_numbers", to=TensorProto.INT64)
    index = g.node("Sub", [whole, g.constant("one", 1, np.int64)], "step_index")
    return g.node("GatherND", ["head_out", index], "network", batch_dims=1)
