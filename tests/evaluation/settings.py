"""Settings of a short evaluation."""

from evaluation.settings import EvaluateSettings

SETTINGS = EvaluateSettings.model_validate(
    {
        "version": 0,
        "split": "train",
        "max_objects": 3,
        "held_out_views": 2,
        "inputs_per_object": 2,
        "seed": 7,
        "guidance_scale": 2.0,
        "steps": 3,
        "eta": 0.0,
        "triptychs": 4,
        "training_root": "",
        "training_objects": 3,
        "features": "",
        "minimum_margin_db": 1.0,
        "minimum_silhouette_iou": 0.8,
    }
)
