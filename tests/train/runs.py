"""A small model, its training settings, and a dataset of coloured squares, all of 32 pixels."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from base.progress import Progress
from base.seeds import stable_rng
from base.settings import Layer, merge, validate
from base.storage import Storage
from geometry.camera import look_at_origin
from geometry.sphere import stratified_block
from shards.image import encode_rgba
from shards.sample import members_from_views, view_suffix
from shards.version import SCHEMA, Version
from shards.write import write_shard
from train import loop
from train.loop import do_nothing
from train.settings import TrainSettings
from train.spec import TrainSpec, TrainSummary
from zero123.settings import ModelSettings

HW, VIEWS = (32, 32), 12

MODEL: dict[str, Any] = {
    "hw": list(HW),
    "weights": None,
    "weights_revision": None,
    "autoencoder": "taesd",
    "image_encoder": {"kind": "latents", "embedding": 12, "channels": [8], "tokens": "one"},
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
    "version": 0,
    "init": None,
    "lora": None,
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
    "ema": {"decay": 0.9, "projection": True},
    "dropout": {"context": 0.05, "latents": 0.05, "both": 0.05, "where": "context"},
    "mirror": 0.0,
    "random_background": 0.0,
    "timestep_power": 1.0,
    "picture_loss": None,
    "min_snr_gamma": None,
    "noise_offset": 0.0,
    "held_out_views": 2,
    "pairs_per_visit": 5,
    "stream": {
        "workers": 0,
        "requests": 4,
        "patience_s": 10.0,
        "cache": "",
        "cache_mb": 100,
        "damaged_samples": 0,
    },
    "cached_latents": False,
    "latent_memo_mb": 16,
    "compute": {
        "precision": "fp32", "channels_last": False, "compile": False, "gradient_checkpointing": False, "ahead": 2,
    },
    "bad_steps": {"times_usual": 100.0, "in_a_row": 3},
    "validation": {"every_images": 0, "objects": 2, "views": 2, "guidance_scale": 1.5, "steps": 2, "eta": 0.0},
    "log": {"tensorboard": False, "wandb": None},
    "log_every_images": 16,
    "checkpoint_every_images": 32,
    "keep_checkpoints": 2,
    "upload": None,
    "wait_minutes": 1.0,
    "ray": {"ranks": 1, "cpus_per_rank": 1.0, "gpus_per_rank": 0.0, "failures": 0},
}  # fmt: skip


def model_settings(**changes: Any) -> ModelSettings:
    return validate(ModelSettings, Layer("test", merge(MODEL, changes)))


def train_settings(**changes: Any) -> TrainSettings:
    return validate(TrainSettings, Layer("test", merge(TRAIN, changes)))


def train(
    model: ModelSettings,
    settings: TrainSettings,
    storage: Storage,
    out: Path,
    progress: Progress,
    begin: Callable[[], None] = do_nothing,
) -> TrainSummary:
    return loop.train(TrainSpec(model, settings, storage, out), progress, begin)


def make_dataset(root: Path, objects: int = 4, shards: int = 1, val: int = 0) -> Storage:
    """A dataset of coloured squares whose place follows the camera, in shards of `objects` each and one of `val`."""
    storage = Storage(root)
    splits = [("train", number, objects) for number in range(shards)] + ([("val", 0, val)] if val else [])
    written = []
    for split, shard, count in splits:
        samples = []
        for number in range(count):
            uid = f"object-{number}" if (split, shard) == ("train", 0) else f"{split}-{shard}-{number}"
            folder = _views(root.parent / f"{root.name}-views" / uid, uid)
            samples.append((uid, members_from_views(folder, {"uid": uid, "licence": "CC0-1.0"})))
        written.append(write_shard(storage, split, shard, samples))
    version = Version(SCHEMA, 1, 0, "0" * 16, VIEWS, HW, tuple(written))
    storage.write("versions/1.json", version.to_json())
    return storage


def cut_view(members: dict[str, bytes]) -> None:
    members["11.webp"] = members["11.webp"][:-20]


def small_view(members: dict[str, bytes]) -> None:
    members["11.webp"] = encode_rgba(np.zeros((16, 16, 4), np.uint8))


def one_good_view(members: dict[str, bytes]) -> None:
    facts = json.loads(members["json"])
    facts["render"]["views"] = [{"bad": view > 0} for view in range(VIEWS)]
    members["json"] = json.dumps(facts).encode()


def _views(folder: Path, uid: str) -> Path:
    rng = stable_rng(0, "views", uid)
    centres = stratified_block(rng) * rng.uniform(1.5, 2.2, (VIEWS, 1))
    colour = rng.integers(0, 256, 3)
    folder.mkdir(parents=True)
    np.save(folder / "extrinsics.npy", np.stack([look_at_origin(centre) for centre in centres]))
    (folder / "views.json").write_text(json.dumps({"light": "sun", "views": [{"bad": False}] * VIEWS}))
    for view, centre in enumerate(centres):
        rgba = np.zeros((*HW, 4), np.uint8)
        top, left = (int(8 + 4 * value) for value in centre[:2] / np.linalg.norm(centre))
        rgba[top : top + 12, left : left + 12] = (*colour, 255)
        (folder / view_suffix(view)).write_bytes(encode_rgba(rgba))
    return folder
