"""Flags of several commands."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.settings import Settings, load_settings, preset_names
from base.errors import UsageError
from base.settings import Section
from inference.models import ModelChoice

NOISELESS = ("unipc", "dpmsolver++")
"""Samplers without added noise: `--sampler` sets eta to 0 as well."""


def add_settings_flags(parser: argparse.ArgumentParser, *, dry_run: str) -> None:
    """Add `--config`, `--preset`, `--set` and `--dry-run`, the same for every command."""
    group = parser.add_argument_group("settings")
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="settings file (default: pipeline.yaml here, else the shipped file)"
    )
    group.add_argument(
        "--preset",
        action="append",
        default=[],
        metavar="NAME",
        help=f"lay a named preset over it; may be repeated ({', '.join(preset_names())})",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="SECTION.KEY=VALUE",
        help="set a value, for example render.samples=64; may be repeated",
    )
    group.add_argument("--dry-run", action="store_true", help=dry_run)


def settings_of(options: argparse.Namespace, model_sampling: Section | None = None) -> Settings:
    """Load the settings of a command's flags, over the sampling defaults of a known model."""
    sampler = getattr(options, "sampler", None)
    # Only what a person typed: other values of `sample` are the model's or the settings'.
    flags: dict[str, Any] = {"sampler": sampler} | ({"eta": 0.0} if sampler in NOISELESS else {}) if sampler else {}
    if getattr(options, "offload", False):
        flags["compute"] = {"offload": True}
    return load_settings(
        options.config,
        options.preset,
        options.overrides,
        model_sampling=model_sampling.model_dump(mode="json") if model_sampling else {},
        sample_flags=flags,
    )


def add_device_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--device` and `--offload`."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")
    parser.add_argument(
        "--offload",
        action="store_true",
        help="keep each network on the accelerator only while it works: slower, for little memory (sample.compute)",
    )


def add_model_flag(parser: argparse.ArgumentParser) -> None:
    """`--model` and what goes with it; all of them make one `ModelChoice`, `options.model`."""
    group = parser.add_argument_group("model")
    parser.set_defaults(model=ModelChoice())
    group.add_argument(
        "--model",
        action=_ChooseModel,
        default=argparse.SUPPRESS,
        metavar="NAME|FOLDER|FILE.ckpt|HUB_ID",
        help="a training run's folder, a checkpoint, a model in diffusers' layout, the original's .ckpt, or a public "
        "model by its name or hub id, see `zero123 models` (default: mini, "
        "the packaged model)",
    )
    group.add_argument(
        "--pose-slot4",
        action=_ChooseModel,
        default=argparse.SUPPRESS,
        choices=("radius_difference", "input_polar"),
        help="what the pose's fourth number means, for files that do not say it: input_polar for Stable Zero123",
    )
    group.add_argument(
        "--raw",
        action=_ChooseModel,
        default=argparse.SUPPRESS,
        nargs=0,
        const=True,
        help="of a .ckpt take the UNet as trained, not the averaged one",
    )
    group.add_argument(
        "--accept-licence",
        action=_ChooseModel,
        default=argparse.SUPPRESS,
        nargs=0,
        const=True,
        help="fetch a model whose licence forbids commercial use",
    )


class _ChooseModel(argparse.Action):
    """Set one field of `options.model`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        field = "name" if self.dest == "model" else self.dest
        # Replaced, not changed: the default choice is frozen and shared by all parses.
        namespace.model = replace(namespace.model, **{field: self.const if self.nargs == 0 else values})


def writable_folder(path: Path) -> Path:
    """Make the folder `path` if it is missing. Raises UsageError when it cannot be written to."""
    probe = path / ".zero123-write-test"
    try:
        path.mkdir(parents=True, exist_ok=True)
        # Access bits do not tell about read-only mounts and full quotas; only writing does.
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"{path}: expected a writable folder, got: {error.strerror}") from None
    return path
