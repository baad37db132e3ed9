"""
What the Evaluator needs to judge forecasts that are already there: OnnxScorer ran the exported file and wrote its losses beside the
slices, so no model is loaded here; TFMA reads the columns, and holds their means per slice against the thresholds.
"""

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.extractors import (
    example_weights_extractor,
    features_extractor,
    labels_extractor,
    materialized_predictions_extractor,
    slice_key_extractor,
    unbatch_extractor,
)


def custom_eval_shared_model(eval_saved_model_path, model_name, eval_config, **_):
    return tfma.types.EvalSharedModel(model_name=model_name, model_path=eval_saved_model_path, model_type="materialized")


def custom_extractors(eval_shared_model, eval_config, tensor_adapter_config):
    return [
        features_extractor.FeaturesExtractor(eval_config=eval_config),
        labels_extractor.LabelsExtractor(eval_config=eval_config),
        example_weights_extractor.ExampleWeightsExtractor(eval_config=eval_config),
        materialized_predictions_extractor.MaterializedPredictionsExtractor(eval_config=eval_config),
        unbatch_extractor.UnbatchExtractor(),
        slice_key_extractor.SliceKeyExtractor(eval_config=eval_config),
    ]
