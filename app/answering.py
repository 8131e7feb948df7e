"""Our model as a method of a benchmark, and how answers are written."""

import argparse
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from app.baselines import Answer, shape_digest
from app.commands.options import add_model_flag, add_settings_flags, settings_of
from app.settings import Settings
from base.errors import UsageError
from base.progress import Progress
from evaluation.datasets.open import open_dataset
from evaluation.methods import MeshMethod, ViewMethod
from evaluation.predicting import PredictionRun, predict_meshes, predict_views
from evaluation.predictions import Method
from evaluation.protocol import Kind, Protocol
from inference.models import DEFAULT

if TYPE_CHECKING:
    from evaluation.score_crew import CrewSettings
    from inference.sample_photo import LoadedModel


class ModelAnswers:
    """The model of a command's flags as a method. It is loaded at most once, when it is first needed."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options

    def method(self, kind: Kind, out: Path) -> tuple[Method, Answer]:
        """Return the model as a method for a kind of protocol; unfinished meshes are kept in `out`."""
        from evaluation.model_meshes import ModelMeshes
        from evaluation.model_method import ModelMethod

        model, settings, seed = self._model, self._settings, self.options.seed
        sampling = settings.sample.sampling()
        about = {**sampling.model_dump(mode="json"), "seed": seed, "model_px": model.pipeline.hw[0]}
        answer: Answer
        if kind == "views":
            answer = ModelMethod(model.pipeline, sampling, seed)
        else:
            answer = ModelMeshes(model, settings, seed, out / "work")
            about |= {"mesh_method": settings.reconstruct.method, "reconstruct": shape_digest(settings.reconstruct)}
        method = Method(name=model_name(self.options), weights=model.digest, settings=_plain(about), frame="world")
        return method, answer

    @cached_property
    def _model(self) -> "LoadedModel":
        from inference.models import checkpoint_of, load_model
        from inference.sample_photo import LoadedModel
        from zero123.digest import model_digest

        pipeline = load_model(self.options.model, self.options.device)
        digest = model_digest(checkpoint_of(self.options.model))
        return LoadedModel(pipeline=pipeline, digest=digest, source=self.options.model.name or DEFAULT)

    @cached_property
    def _settings(self) -> Settings:
        flags = {"steps": self.options.steps, "guidance_scale": self.options.guidance_scale}
        # Flags that are not given leave the model's own defaults.
        given = [f"sample.{name}={value}" for name, value in flags.items() if value is not None]
        asked = argparse.Namespace(**{**vars(self.options), "overrides": [*self.options.overrides, *given]})
        return settings_of(asked, self._model.pipeline.defaults)


def add_model_flags(parser: argparse.ArgumentParser, *, dry_run: str) -> None:
    """Add the flags of `ModelAnswers`: the model, how it samples, and the settings."""
    add_model_flag(parser)
    parser.add_argument("--steps", type=int, metavar="N", help="denoising steps (default: the model's)")
    parser.add_argument("--guidance-scale", type=float, metavar="S", help="default: the model's")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")
    add_settings_flags(parser, dry_run=dry_run)


def add_network_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of scoring: the workers, and the networks of the metrics."""
    parser.add_argument("--workers", type=int, metavar="N", help="processes on this machine (default: 1)")
    parser.add_argument(
        "--on",
        choices=("here", "ray"),
        default="here",
        help="here: in --workers processes; ray: on run.address or a local Ray, by the workers that build datasets, "
        "run.workers of them (default: %(default)s)",
    )
    parser.add_argument("--lpips", type=Path, metavar="DIR", help="LPIPS as tensors: alex.safetensors, vgg.safetensors")
    parser.add_argument(
        "--features",
        type=Path,
        metavar="DIR|FILE.onnx",
        help="Fréchet and kernel distance in the space of a CLIP folder, or of any network in ONNX",
    )
    parser.add_argument(
        "--clip", type=Path, metavar="DIR", help="a CLIP image encoder, for CLIP similarity and DietNeRF"
    )


def workers_of(options: argparse.Namespace) -> "int | CrewSettings":
    """Return the number of processes here, or the settings of a crew on Ray. Raises UsageError for both."""
    if options.on == "here":
        return 1 if options.workers is None else int(options.workers)
    if options.workers is not None:
        raise UsageError("--workers: expected nothing with --on ray, because run.workers says how many")
    from evaluation.score_crew import CrewSettings

    settings = settings_of(options)
    return CrewSettings(settings.run, settings.objects.fetch, settings.objects.objaverse)


def write_answers(
    protocol: Protocol, data: Path, method: Method, answer: Answer, out: Path, progress: Progress
) -> None:
    """Write the prediction folder of a method; finished objects are kept."""
    dataset = open_dataset(protocol.data.loader, data)
    uids = protocol.data.objects or dataset.uids()
    run = PredictionRun(protocol, dataset, uids, method, out, progress)
    if protocol.kind == "views":
        predict_views(run, cast(ViewMethod, answer))
    else:
        predict_meshes(run, cast(MeshMethod, answer))


def model_name(options: argparse.Namespace) -> str:
    """Return the model's name for a table: of a path, the last part alone."""
    name: str = options.model.name or DEFAULT
    return Path(name).resolve().name if Path(name).exists() else name


def _plain(values: dict[str, object]) -> dict[str, str | int | float | bool]:
    # `Method.settings` holds plain values alone, and a tuple becomes its text.
    return {
        name: value if isinstance(value, str | int | float | bool) else str(value) for name, value in values.items()
    }
