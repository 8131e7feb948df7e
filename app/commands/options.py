"""Flags of several commands."""

import argparse
from pathlib import Path
from typing import Any

from app.settings import Settings, load_settings, preset_names
from base.errors import UsageError
from base.settings import Section

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
    flags: dict[str, Any] = {"sampler": sampler} | ({"eta": 0.0} if sampler in NOISELESS else {}) if sampler else {}
    return load_settings(
        options.config,
        options.preset,
        options.overrides,
        model_sampling=model_sampling.model_dump(mode="json") if model_sampling else {},
        sample_flags=flags,
    )


def add_model_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--model`, a checkpoint folder."""
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="DIR",
        help="a training run's folder, a checkpoint of it, or a model in diffusers layout",
    )


def writable_folder(path: Path) -> Path:
    """Make the folder `path` if it is missing. Raises UsageError when it cannot be written to."""
    probe = path / ".zero123-write-test"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"{path}: expected a writable folder, got: {error.strerror}") from None
    return path
