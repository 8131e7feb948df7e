"""A small model, its training settings, and a dataset of coloured squares, all of 32 pixels."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from base.seeds import stable_rng
from base.settings import Layer, merged, validated
from base.storage import Storage
from geometry.camera import look_at_origin
from geometry.sphere import stratified_block
from shards.image import encode_rgba
from shards.sample import members_from_views, view_suffix
from shards.version import SCHEMA, Version
from shards.write import write_shard
from train.settings import TrainSettings
from zero123.settings import ModelSettings

HW, VIEWS = (32, 32), 12

MODEL: dict[str, Any] = {
    "hw": list(HW),
    "weights": None,
    "weights_revision": None,
    "autoencoder": "taesd",
    "image_encoder": {"kind": "latents", "embedding": 12, "channels": [8]},
    "unet": {
        "channels": [8, 16],
        "attention": [False, True],
        "layers": 1,
        "heads": 2,
        "norm_groups": 4,
        "context": 16,
        "context_in_time": True,
    },
    "prediction": "v_prediction",
    "zero_terminal_snr": True,
    "timestep_spacing": "trailing",
    "pose_slot4": "radius_difference",
    "latent_origin": "zero",
}
TRAIN: dict[str, Any] = {
    "seed": 0,
    "device": "cpu",
    "threads": 1,
    "images": 64,
    "batch": 8,
    "images_at_once": 4,
    "optimiser": {
        "learning_rate": 1e-3,
        "projection_factor": 10.0,
        "warmup_images": 16,
        "decay": "constant",
        "betas": [0.9, 0.99],
        "weight_decay": 0.01,
        "clip_norm": 1.0,
    },
    "ema_decay": 0.9,
    "dropout": {"context": 0.05, "latents": 0.05, "both": 0.05, "where": "context"},
    "mirror": 0.0,
    "timestep_power": 1.0,
    "held_out_views": 2,
    "pairs_per_visit": 6,
    "stream": {
        "workers": 0,
        "requests": 4,
        "patience_s": 10.0,
        "cache": "",
        "cache_mb": 100,
        "damaged_samples": 0,
    },
    "latent_memo_mb": 16,
    "log_every_images": 16,
    "checkpoint_every_images": 32,
    "keep_checkpoints": 2,
}


def model_settings(**changes: Any) -> ModelSettings:
    return validated(ModelSettings, Layer("test", merged(MODEL, changes)))


def train_settings(**changes: Any) -> TrainSettings:
    return validated(TrainSettings, Layer("test", merged(TRAIN, changes)))


def make_dataset(root: Path, objects: int = 4) -> Storage:
    """A dataset of one shard: squares of a colour each, whose place follows the camera."""
    storage = Storage(root)
    samples = []
    for number in range(objects):
        uid = f"object-{number}"
        folder = _views(root.parent / f"{root.name}-views" / uid, uid)
        samples.append((uid, members_from_views(folder, {"uid": uid, "licence": "CC0-1.0"})))
    shard = write_shard(storage, "train", 0, samples)
    version = Version(SCHEMA, 1, 0, "0" * 16, VIEWS, HW, (shard,))
    storage.write("versions/1.json", version.to_json().encode())
    return storage


def _views(folder: Path, uid: str) -> Path:
    rng = stable_rng(0, "views", uid)
    centres = stratified_block(rng) * rng.uniform(1.5, 2.2, (VIEWS, 1))
    colour = rng.integers(0, 256, 3)
    folder.mkdir(parents=True)
    np.save(folder / "extrinsics.npy", np.stack([look_at_origin(centre) for centre in centres]))
    (folder / "views.json").write_text(json.dumps({"light": "sun"}))
    for view, centre in enumerate(centres):
        rgba = np.zeros((*HW, 4), np.uint8)
        top, left = (int(8 + 4 * value) for value in centre[:2] / np.linalg.norm(centre))
        rgba[top : top + 12, left : left + 12] = (*colour, 255)
        (folder / view_suffix(view)).write_bytes(encode_rgba(rgba))
    return folder
