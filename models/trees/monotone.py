"""Quantile trees that keep monotone signs.

XGBoost grows every tree within the bounds of `monotone_constraints`, but its quantile objective then sets each leaf to the quantile of the
residuals in it, past these bounds, and the model falls all the same where an input with the sign +1 rises. So each round is grown alone and
its leaves are moved back into their bounds; the next round learns from what is left.
"""

import json

import numpy as np
import xgboost


def train(parameters: dict, data: xgboost.QuantileDMatrix, margin: np.ndarray, rounds: int, signs: list[int], progress=lambda done: None) -> xgboost.Booster:
    """
    `signs`: per column what a higher value may do to every level: 1 not lower it, -1 not raise it, 0 anything. `margin`, [rows, levels], is
    what the trees correct; `data` is left with another one.
    """
    constraints = "(" + ",".join(map(str, signs)) + ")"
    whole = None
    for number in range(rounds):
        data.set_base_margin(margin)
        # A seed of its own, as every booster draws its rows and columns from the start of a sequence.
        drawn = parameters | {"seed": parameters["seed"] * rounds + number, "monotone_constraints": constraints}
        content = json.loads(xgboost.train(drawn, data, 1).save_raw("json"))
        for tree in content["learner"]["gradient_booster"]["model"]["trees"]:
            bound_leaves(tree, signs)
        margin = booster_of(content, parameters).predict(data, output_margin=True)
        whole = content if whole is None else joined(whole, content)
        progress(number + 1)
    return booster_of(whole, parameters)


def booster_of(content: dict, parameters: dict) -> xgboost.Booster:
    booster = xgboost.Booster({"nthread": parameters["nthread"]})
    booster.load_model(bytearray(json.dumps(content).encode()))
    return booster


def joined(whole: dict, more: dict) -> dict:
    """The trees of both models, in this order, in the form of XGBoost's JSON."""
    model, added = (one["learner"]["gradient_booster"]["model"] for one in (whole, more))
    first = len(model["trees"])
    model["trees"] += [tree | {"id": first + place} for place, tree in enumerate(added["trees"])]
    model["tree_info"] += added["tree_info"]
    model["iteration_indptr"] += [first + end for end in added["iteration_indptr"][1:]]
    model["gbtree_model_param"]["num_trees"] = str(len(model["trees"]))
    return whole


def bound_leaves(tree: dict, signs: list[int]) -> None:
    """At a split on a column with a sign, the middle between the means of both sides parts them, as in XGBoost while it grows a tree."""
    left, right, column, value, weight = (
        tree[name] for name in ("left_children", "right_children", "split_indices", "split_conditions", "sum_hessian")
    )
    means = {}

    def mean(node: int) -> float:
        if left[node] < 0:
            means[node] = value[node]
        else:
            sides = (left[node], right[node])
            means[node] = sum(mean(side) * weight[side] for side in sides) / max(sum(weight[side] for side in sides), 1e-12)
        return means[node]

    def bound(node: int, low: float, high: float) -> None:
        if left[node] < 0:
            # Rounded as XGBoost reads it; what is alike before is alike after.
            value[node] = float(np.float32(min(max(value[node], low), high)))
            return
        sign = signs[column[node]]
        under, over = (right[node], left[node]) if sign < 0 else (left[node], right[node])
        middle = sum(min(max(means[side], low), high) for side in (under, over)) / 2
        bound(under, low, high if sign == 0 else middle)
        bound(over, low if sign == 0 else middle, high)

    mean(0)
    bound(0, -np.inf, np.inf)
