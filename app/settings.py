"""All settings together: `pipeline.yaml`, then presets, then `--set`, each laid over the layers before."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from base.errors import UsageError
from base.settings import Layer, Section, parse_overrides, read_yaml, validate
from base.storage import StorageSettings
from evaluation.settings import EvaluateSettings
from inference.settings import ViewsSettings
from photo.settings import PhotoSettings
from pipeline.settings import ObjectsSettings, RunSettings
from reconstruct.settings import ReconstructSettings
from render.settings import RenderSettings
from shards.settings import ShardsSettings
from train.settings import TrainSettings
from web.settings import ServeSettings
from zero123.settings import ModelSettings, SampleSettings, TextSettings

PRESETS = Path(__file__).parent / "presets"
FILE_NAME = "pipeline.yaml"


class Settings(Section):
    """All values with an influence on results, with a section for each folder."""

    storage: StorageSettings
    objects: ObjectsSettings
    run: RunSettings
    render: RenderSettings
    shards: ShardsSettings
    model: ModelSettings
    train: TrainSettings
    photo: PhotoSettings
    sample: SampleSettings
    views: ViewsSettings
    imagine: TextSettings
    reconstruct: ReconstructSettings
    serve: ServeSettings
    evaluate: EvaluateSettings

    def as_yaml(self) -> str:
        """Write the resolved values in the form of `pipeline.yaml`, for `--config`."""
        values = {"metadata": {"pipeline": self.model_dump(mode="json")}}
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def load_settings(
    config: Path | None,
    presets: Sequence[str] = (),
    overrides: Sequence[str] = (),
    *,
    model_sampling: Mapping[str, Any] | None = None,
    sample_flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Load and check a settings file (default: the nearest `pipeline.yaml`), presets and `--set` assignments.

    A model's own sampling defaults override an implicit settings file, and are overridden by `config`, presets,
    `sample_flags` and `--set`. Raises UsageError with the source and dotted path of each mistake.
    """
    path = config or default_config()
    layers = [Layer(str(path), _pipeline_section(path))]
    if model_sampling:
        # A file that a person named was meant for this command; the nearest pipeline.yaml was not.
        layers.insert(0 if config else 1, Layer("the model", {"sample": model_sampling}))
    layers += [Layer(f"preset {name}", read_preset(name)) for name in presets]
    layers += [Layer("--sampler and --offload", {"sample": sample_flags})] if sample_flags else []
    layers += [Layer("--set", parse_overrides(overrides, Settings))]
    return validate(Settings, *layers)


def default_config() -> Path:
    """Find `pipeline.yaml` in the working folder, else the shipped file."""
    # In a checkout beside the packages, installed below share/.
    beside_sources = Path(__file__).parents[1] / FILE_NAME
    for path in (Path(FILE_NAME), beside_sources, Path(sys.prefix) / "share" / "zero123" / FILE_NAME):
        if path.is_file():
            return path
    raise UsageError(f"expected a {FILE_NAME} in {Path.cwd()} or --config FILE, got neither")


def read_preset(name: str) -> dict[str, Any]:
    """Read the values of a preset. Raises UsageError, with the known names, for an unknown name."""
    path = PRESETS / f"{name}.yaml"
    known = preset_names()
    if name not in known:
        raise UsageError(f"--preset: expected any of {', '.join(known)}, got {name!r}")
    return read_yaml(path)


def preset_names() -> list[str]:
    """List the shipped presets."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def _pipeline_section(path: Path) -> dict[str, Any]:
    values = read_yaml(path).get("metadata")
    section = values.get("pipeline") if isinstance(values, dict) else None
    if not isinstance(section, dict):
        raise UsageError(f"{path}: metadata.pipeline: expected a mapping of sections, got {type(section).__name__}")
    return section
