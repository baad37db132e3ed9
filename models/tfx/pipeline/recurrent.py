"""The recurrent half: an LSTM over the recent past and one dense head, the same for every horizon step, that says every level of it."""

import numpy as np

from pipeline.records import Examples
from pipeline.spec import Spec

DEFAULTS = {"units": 24, "dense": 48, "dropout": 0.2, "rate": 3e-3, "epochs": 8}
BATCH = 128
#: Names of the arrays that make up a trained network, as the exporter takes them.
WEIGHTS = ("kernel", "recurrent", "bias", "dense_kernel", "dense_bias", "head_kernel", "head_bias")


def network(spec: Spec, settings: dict):
    import keras

    sequence = keras.Input(spec.sequence, name="sequence")
    context = keras.Input(spec.context, name="context")
    # use_cudnn=False: the cell is the plain one, whatever the machine has.
    state = keras.layers.LSTM(settings["units"], use_cudnn=False)(sequence)
    # One head for all steps: what it knows of a step is its context, so it has a few thousand weights instead of one set per step.
    repeated = keras.layers.RepeatVector(spec.horizon)(state)
    joined = keras.layers.Concatenate(axis=-1)([repeated, context])
    hidden = keras.layers.Dropout(settings["dropout"])(joined)
    hidden = keras.layers.Dense(settings["dense"], "relu")(hidden)
    hidden = keras.layers.Dropout(settings["dropout"])(hidden)
    # Nought at the start: an untrained network says the anchor.
    return keras.Model([sequence, context], keras.layers.Dense(len(spec.levels), kernel_initializer="zeros")(hidden))


def quantile_loss(levels: list[float]):
    """Mean pinball loss over levels. `y` is [N, H], the forecast [N, H, levels]."""
    import tensorflow as tf

    q = tf.constant(levels, tf.float32)

    def loss(y, forecast):
        error = y[..., None] - forecast
        return tf.reduce_mean(tf.maximum(q * error, (q - 1.0) * error))

    return loss


def fit(examples: Examples, spec: Spec, settings: dict, seed: int, progress=lambda text: None):
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    model = network(spec, settings)
    steps = settings["epochs"] * max(1, len(examples) // BATCH)
    schedule = keras.optimizers.schedules.CosineDecay(settings["rate"], steps)
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=1e-3), quantile_loss(spec.levels))
    order = np.random.default_rng(seed)
    for epoch in range(settings["epochs"]):
        index = order.permutation(len(examples))
        history = model.fit(
            [examples.sequence[index], examples.context[index]], examples.target_all[index],
            batch_size=BATCH, epochs=1, shuffle=False, verbose=0,
        )
        progress(f"recurrent: epoch {epoch + 1} of {settings['epochs']}, loss {history.history['loss'][-1]:.4f}")
    return model


def predict(model, sequence: np.ndarray, context: np.ndarray) -> np.ndarray:
    """[N, H, levels], not sorted."""
    return model.predict([sequence, context], batch_size=1024, verbose=0)


def weights_of(model) -> dict[str, np.ndarray]:
    return dict(zip(WEIGHTS, model.get_weights(), strict=True))


def from_weights(spec: Spec, settings: dict, weights: dict[str, np.ndarray]):
    model = network(spec, settings)
    model.set_weights([weights[name] for name in WEIGHTS])
    return model
