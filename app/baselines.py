"""Baselines as methods of a benchmark, with what each needs: training data, or the networks of other papers."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.commands.options import settings_of
from base.digest import digest_json
from base.errors import UsageError
from base.progress import Progress
from evaluation.datasets.open import open_dataset
from evaluation.methods import MESH_METHODS, VIEW_METHODS, MeshMethod, ViewMethod
from evaluation.predictions import Method
from evaluation.protocol import Kind, Protocol

if TYPE_CHECKING:
    from evaluation.field_methods import FieldMethod
    from reconstruct.settings import ReconstructSettings
    from zero123.image_variations import ImageVariations

Answer = ViewMethod | MeshMethod

NEAREST, VARIATIONS, SJC_I, DIETNERF = "nearest", "image-variations", "sjc-i", "dietnerf"
LEARNT: Mapping[str, tuple[Kind, ...]] = {
    NEAREST: ("views",),
    VARIATIONS: ("views",),
    SJC_I: ("views", "meshes"),
    DIETNERF: ("views", "meshes"),
}
"""Baselines that need data or networks, with the kinds of protocols they answer."""
BASELINES = (*VIEW_METHODS, *MESH_METHODS, *LEARNT)
WORDS = {
    "mean": "mean of the true views (oracle)",
    "input": "input copied",
    "hull": "visual hull (oracle)",
    NEAREST: "nearest training view",
    VARIATIONS: "Image Variations",
    SJC_I: "SJC-I",
    DIETNERF: "DietNeRF",
}


def add_baseline_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flag for a baseline's network."""
    parser.add_argument(
        "--variations",
        type=Path,
        metavar="DIR",
        help="Image Variations in diffusers' layout, for --baseline image-variations and sjc-i",
    )


def answers_kind(name: str, kind: Kind) -> bool:
    """Say whether a baseline answers a kind of protocol."""
    return kind in LEARNT[name] if name in LEARNT else name in (VIEW_METHODS if kind == "views" else MESH_METHODS)


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """The baselines for a protocol over `data`, as a command's flags and settings describe them.

    Unfinished fields are kept in `work`.
    """

    options: argparse.Namespace
    protocol: Protocol
    data: Path
    work: Path
    progress: Progress

    def method(self, name: str) -> tuple[Method, Answer]:
        """Return a baseline as a method.

        Raises UsageError for a baseline of the other kind and for a missing flag or setting, Failure for unusable
        files behind them.
        """
        kind = self.protocol.kind
        if not answers_kind(name, kind):
            known = [other for other in BASELINES if answers_kind(other, kind)]
            raise UsageError(f"--baseline: expected {', '.join(known)} for {kind}, got {name}")
        learnt = {
            NEAREST: self._nearest,
            VARIATIONS: self._variations,
            SJC_I: self._sjc_i,
            DIETNERF: self._dietnerf,
        }
        if name in learnt:
            return learnt[name]()
        plain: Mapping[str, Answer] = VIEW_METHODS if kind == "views" else MESH_METHODS
        # Tables must say which answers know the truth.
        return Method(name=WORDS.get(name, name), frame="world"), plain[name]

    def _nearest(self) -> tuple[Method, Answer]:
        from evaluation.nearest_method import NearestTrainingView, open_training_views

        section, source = settings_of(self.options).evaluate, self.protocol.data
        # The evaluated dataset may hold training objects of its own.
        root = section.training_root or (str(self.data) if source.loader == "shards" else "")
        if not root:
            raise UsageError("--baseline nearest: expected a dataset, --set evaluate.training_root=DIR, got nothing")
        evaluated = set(source.objects or open_dataset(source.loader, self.data).uids())
        answer = NearestTrainingView(open_training_views(root, section, evaluated, self.progress))
        return Method(name=WORDS[NEAREST], settings=answer.settings(), frame="world"), answer

    def _variations(self) -> tuple[Method, Answer]:
        from evaluation.variations_method import VariationsMethod
        from zero123.image_variations import GUIDANCE_SCALE, STEPS

        options, model = self.options, self._variations_model(VARIATIONS)
        steps = options.steps or STEPS
        scale = GUIDANCE_SCALE if options.guidance_scale is None else options.guidance_scale
        answer = VariationsMethod(model, steps=steps, guidance_scale=scale, seed=options.seed)
        about = {"steps": steps, "guidance_scale": scale, "seed": options.seed, "model_px": model.hw[0]}
        return self._described(VARIATIONS, model.digest, about), answer

    def _sjc_i(self) -> tuple[Method, Answer]:
        from evaluation.field_methods import sjc_i

        section = settings_of(self.options).reconstruct
        return self._field_method(SJC_I, sjc_i(self._variations_model(SJC_I), section, self.options.seed, self.work))

    def _dietnerf(self) -> tuple[Method, Answer]:
        from evaluation.field_methods import dietnerf
        from zero123.clip import ClipImages
        from zero123.device import torch_device

        if self.options.clip is None:
            raise UsageError("--baseline dietnerf: expected --clip DIR, a CLIP image encoder, got nothing")
        clip = ClipImages.from_folder(self.options.clip, torch_device(self.options.device))
        section = settings_of(self.options).reconstruct
        method = dietnerf(clip, section, self.protocol.hw, self.options.seed, self.work)
        return self._field_method(DIETNERF, method)

    def _field_method(self, name: str, field: "FieldMethod") -> tuple[Method, Answer]:
        about = {"seed": field.seed, "input_px": field.hw[0], "reconstruct": shape_digest(field.settings)}
        answer: Answer = field.views if self.protocol.kind == "views" else field.mesh
        return self._described(name, field.digest, about), answer

    def _variations_model(self, name: str) -> "ImageVariations":
        from zero123.device import torch_device
        from zero123.image_variations import ImageVariations

        if self.options.variations is None:
            raise UsageError(f"--baseline {name}: expected --variations DIR, Image Variations, got nothing")
        return ImageVariations.from_folder(self.options.variations, torch_device(self.options.device))

    @staticmethod
    def _described(name: str, weights: str, about: dict[str, Any]) -> Method:
        return Method(name=WORDS[name], weights=weights, settings=about, frame="world")


def shape_digest(settings: "ReconstructSettings") -> str:
    """Digest the settings with an influence on a mesh's shape: its films and file formats have no influence."""
    return digest_json(settings.model_dump(mode="json", exclude={"turntable": True, "mesh": {"also", "texture"}}))
