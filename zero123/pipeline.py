"""`Zero123Pipeline`: a picture of an object and camera moves in, pictures of it from there out (arXiv 2303.11328)."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from base.errors import Failure
from base.settings import Layer, validate
from geometry.relative import pose_from_deltas
from zero123.checkpoint import save_checkpoint
from zero123.compute import batch_size, prepare_for_sampling
from zero123.conditioning import Conditioning, EncodedView
from zero123.denoiser import Denoiser
from zero123.model import Zero123Model
from zero123.picture import Picture, rgba_of
from zero123.public import Located, locate_model, open_located
from zero123.samplers import sample_latents
from zero123.sampling import generators_for, noise_rows
from zero123.settings import SampleComputeSettings, SamplingSettings


class Zero123Pipeline(Zero123Model):
    """A model ready to sample from."""

    @classmethod
    def from_pretrained(cls, source: str | Path, device: str = "cpu") -> Self:
        """Load a model: a training run's folder, a checkpoint, an adapter, a public folder, or the original's `.ckpt`.

        A `str` may also be a name of `zero123 models` or a hub id; a public model is fetched once. Raises UsageError
        for an unknown name, Failure for a path without a model and for a model that cannot be fetched.
        """
        found = locate_model(source) if isinstance(source, str) else Located(source, None)
        return cls.of(open_located(found)).to(device)

    @classmethod
    def of(cls, model: Zero123Model) -> Self:
        """Return a pipeline around a model's parts; both share them."""
        return cls(**{one.name: getattr(model, one.name) for one in fields(Zero123Model)})

    def save_pretrained(self, folder: str | Path, file_bytes: int | None = None) -> None:
        """Write a checkpoint in diffusers' layout; frozen parts in `references` are not written again.

        A part with more than `file_bytes` of tensors is split into files of at most so many, with an index of them.
        """
        save_checkpoint(self, Path(folder), file_bytes)

    def prepare(self, compute: SampleComputeSettings, device: str) -> Self:
        """Move to a device and compute there as the settings say; see zero123.compute."""
        prepare_for_sampling(self, compute, device)
        return self

    def sampling_with(self, **changes: Any) -> SamplingSettings:
        """The model's sampling defaults with some values changed. Raises UsageError naming a wrong value."""
        defaults = Layer("the model", self.defaults.model_dump(mode="json"))
        return validate(SamplingSettings, defaults, Layer("sampling", changes))

    def __call__(
        self,
        picture: Picture,
        *,
        up_deg: float | Sequence[float] = 0.0,
        right_deg: float | Sequence[float] = 0.0,
        away: float | Sequence[float] = 0.0,
        elevation_deg: float | None = None,
        seed: int = 0,
        **sampling: Any,
    ) -> Image.Image | list[Image.Image]:
        """The object of `picture` after the camera moved by degrees up and right, and away in sizes of the object.

        `picture` is a PIL image or uint8 (H, W, 3 or 4); a transparent background is best. Where a move is a sequence
        the answer is a list with a picture for each, view i from seed `seed` + i. `elevation_deg` is the input
        camera's, needed by models such as Stable Zero123. Other keywords change the model's sampling defaults, for
        example `steps=20, sampler="unipc", eta=0.0`.
        """
        moves = np.broadcast_arrays(np.deg2rad(up_deg), np.deg2rad(right_deg), np.asarray(away, np.float64))
        up, right, away_ = (np.atleast_1d(move) for move in moves)
        polar = None if elevation_deg is None else float(np.deg2rad(90.0 - elevation_deg))
        poses = self.adapt_poses(pose_from_deltas(-up, right, away_), polar)
        # Counted up, so that the first pictures stay when more moves are asked for.
        seeds = [seed + index for index in range(len(poses))]
        made = self.views(rgba_of(picture, self.hw), poses, seeds=seeds, **sampling)
        images = [Image.fromarray(view) for view in made]
        return images if moves[0].ndim else images[0]

    def views(
        self, rgba: NDArray[np.uint8], pose: ArrayLike, *, seeds: Sequence[int], **sampling: Any
    ) -> NDArray[np.uint8]:
        """Views uint8 (N, H, W, 3) of the object in `rgba` (H, W, 4) after camera moves `pose` (N, 4); one seed each.

        Keywords change the model's sampling defaults.
        """
        return np.concatenate(list(self.batches(rgba, pose, seeds=seeds, sampling=self.sampling_with(**sampling))))

    def batches(
        self,
        rgba: NDArray[np.uint8],
        pose: ArrayLike,
        *,
        seeds: Sequence[int],
        sampling: SamplingSettings,
        views_at_once: int = 0,
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield the views of `views` batch by batch; the input view is encoded once for all.

        A view's noise depends on its seed alone: the batch changes pictures by rounding at most.
        """
        poses = np.asarray(pose, np.float64).reshape(-1, 4)
        if len(seeds) != len(poses):
            raise Failure(f"seeds: expected {len(poses)}, one for each pose, got {len(seeds)}")
        yield from self._decoded(self.condition(np.asarray(rgba)[None], poses), seeds, sampling, views_at_once)

    def batches_of_pictures(
        self,
        rgbas: NDArray[np.uint8],
        which: Sequence[int],
        pose: ArrayLike,
        *,
        seeds: Sequence[int],
        sampling: SamplingSettings,
        views_at_once: int = 0,
    ) -> Iterator[NDArray[np.uint8]]:
        """Yield views as `batches` does, view i of the object in `rgbas[which[i]]`; `rgbas` are (P, H, W, 4)."""
        poses = np.asarray(pose, np.float64).reshape(-1, 4)
        if not len(seeds) == len(which) == len(poses):
            raise Failure(f"seeds and which: expected {len(poses)} of each, got {len(seeds)} and {len(which)}")
        encoded, rows = self.encode(rgbas), list(which)
        view = EncodedView(embedding=encoded.embedding[rows], latents=encoded.latents[rows])
        yield from self._decoded(self.condition_of(view, poses), seeds, sampling, views_at_once)

    def _decoded(
        self, conditioning: Conditioning, seeds: Sequence[int], sampling: SamplingSettings, views_at_once: int
    ) -> Iterator[NDArray[np.uint8]]:
        size = batch_size(self, views_at_once, guided=sampling.guidance_scale != 1.0)
        for first in range(0, len(seeds), size):
            some = slice(first, first + size)
            yield self.decode(self._latents(conditioning.select(some), seeds[some], sampling))

    @torch.no_grad()
    def _latents(self, conditioning: Conditioning, seeds: Sequence[int], sampling: SamplingSettings) -> torch.Tensor:
        generators = generators_for(seeds)
        start = noise_rows(self.latent_shape, generators).to(self.device, self.dtype)
        with Denoiser(self, conditioning, sampling).ready() as predict:
            return sample_latents(
                predict, self.schedule, start, sampling, lambda: noise_rows(self.latent_shape, generators)
            )
