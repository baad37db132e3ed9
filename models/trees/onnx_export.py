"""Writes an XGBoost multi-quantile booster as one ONNX graph.

    features [N, F] ─┬─ TreeEnsembleRegressor ─ [N, Q] ─┐
                     └─ Gather(anchor column) ─ [N, 1] ─┴─ Add ─ TopK(ascending) ─ log_ratio [N, Q]

The anchor is the margin that the trees were trained to correct, so it is added outside of them. Quantile trees are
trained independently and may cross; sorting each row repairs that and never raises the pinball loss (Chernozhukov et
al., 2010). XGBoost compares `value < threshold` in float32 and sends missing values where `default_left` says: BRANCH_LT
and `nodes_missing_value_tracks_true` mean exactly that, so no tolerance is needed for routing, only for summing.
"""

import json

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

# What onnxruntime-node 1.30 and older engines both read.
OPSET = 17
ML_OPSET = 3
IR_VERSION = 8


def tree_attributes(model: dict, quantiles: int) -> dict:
    """Attributes of TreeEnsembleRegressor from the JSON of `Booster.save_model("x.json")`."""
    booster = model["learner"]["gradient_booster"]
    if booster["name"] != "gbtree":
        raise ValueError(f"expected a gbtree booster, found {booster['name']}")
    nodes = {name: [] for name in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids", "missing_value_tracks_true")}
    leaves = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    trees = booster["model"]["trees"]
    groups = booster["model"]["tree_info"]
    for tree_id, (tree, group) in enumerate(zip(trees, groups, strict=True)):
        if not 0 <= group < quantiles:
            raise ValueError(f"tree {tree_id} belongs to output {group} of {quantiles}")
        if any(tree["split_type"]):
            raise ValueError(f"tree {tree_id} has a categorical split, which this exporter does not write")
        for node, left in enumerate(tree["left_children"]):
            leaf = left == -1
            nodes["treeids"].append(tree_id)
            nodes["nodeids"].append(node)
            nodes["modes"].append("LEAF" if leaf else "BRANCH_LT")
            nodes["featureids"].append(0 if leaf else tree["split_indices"][node])
            nodes["values"].append(0.0 if leaf else tree["split_conditions"][node])
            nodes["truenodeids"].append(0 if leaf else left)
            nodes["falsenodeids"].append(0 if leaf else tree["right_children"][node])
            nodes["missing_value_tracks_true"].append(0 if leaf else int(tree["default_left"][node]))
            if leaf:
                leaves["treeids"].append(tree_id)
                leaves["nodeids"].append(node)
                leaves["ids"].append(group)
                leaves["weights"].append(tree["split_conditions"][node])
    return {f"nodes_{name}": values for name, values in nodes.items()} | {f"target_{name}": values for name, values in leaves.items()}


def build_model(booster_json: str, features: int, anchor: int, quantiles: int, metadata: dict[str, str]) -> ModelProto:
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["correction"],
        domain="ai.onnx.ml",
        n_targets=quantiles,
        aggregate_function="SUM",
        post_transform="NONE",
        **tree_attributes(json.loads(booster_json), quantiles),
    )
    graph = helper.make_graph(
        [
            trees,
            helper.make_node("Gather", ["features", "anchor_index"], ["anchor"], axis=1),
            helper.make_node("Add", ["correction", "anchor"], ["unsorted"]),
            helper.make_node("TopK", ["unsorted", "quantiles"], ["log_ratio", "order"], axis=1, largest=0, sorted=1),
        ],
        "ballast_demand",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", features])],
        [helper.make_tensor_value_info("log_ratio", TensorProto.FLOAT, ["rows", quantiles])],
        [
            numpy_helper.from_array(np.array([anchor], dtype=np.int64), "anchor_index"),
            numpy_helper.from_array(np.array([quantiles], dtype=np.int64), "quantiles"),
        ],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
        producer_name="ballast",
    )
    helper.set_model_props(model, metadata)
    checker.check_model(model)
    return model
