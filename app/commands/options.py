"""Flags that several commands share."""

import argparse
from pathlib import Path
from typing import Any

from app.settings import Settings, load_settings, preset_names
from base.errors import UsageError
from base.settings import Section

NOISELESS = ("unipc", "dpmsolver++")
"""Samplers that add no noise, so that `--sampler` sets eta to 0 as well."""


def add_settings_flags(parser: argparse.ArgumentParser, *, dry_run: str) -> None:
    """`--config`, `--preset`, `--set` and `--dry-run`, the same for every command."""
    group = parser.add_argument_group("settings")
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="settings file (default: pipeline.yaml here, else the shipped one)"
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
        help="set one value, for example render.samples=64; may be repeated",
    )
    group.add_argument("--dry-run", action="store_true", help=dry_run)


def settings_of(options: argparse.Namespace, model_sampling: Section | None = None) -> Settings:
    """The settings that a command's flags describe, over a model's own sampling defaults where it is known."""
    sampler = getattr(options, "sampler", None)
    flags: dict[str, Any] = {"sampler": sampler} | ({"eta": 0.0} if sampler in NOISELESS else {}) if sampler else {}
    return load_settings(
        options.config,
        options.preset,
        options.overrides,
        model_sampling=model_sampling.model_dump(mode="json") if model_sampling else {},
        sample_flags=flags,
    )


def add_model_flag(parser: argparse.ArgumentParser) -> None:
    """`--model`, a checkpoint folder."""
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="DIR",
        help="a training run's folder, one of its checkpoints, or a model in diffusers layout",
    )


def writable_folder(path: Path) -> Path:
    """`path`, made if need be. Raises UsageError when nothing can be written there."""
    probe = path / ".zero123-write-test"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"{path}: expected a folder that can be written to, got: {error.strerror}") from None
    return path
