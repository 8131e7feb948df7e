"""Public models by name: their sources, layouts and terms."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from base.errors import Failure, UsageError
from base.settings import Layer, read_yaml, validate
from zero123.checkpoint import INDEX
from zero123.hub import cached_file, cached_folder, fetch_file, fetch_folder, is_hub_id
from zero123.locate import SUFFIXES, open_model
from zero123.lora import DESCRIPTION, open_adapted
from zero123.model import PoseSlot4, Zero123Model
from zero123.settings import ModelSettings, PublicModel

TABLE = Path(__file__).parent / "public_models.yaml"
PACKAGED = Path(__file__).parent / "weights"
"""Models that come with this package, each in a folder of its name."""


@dataclass(frozen=True)
class Located:
    """A model on this machine: its folder or file, and its pose slot 4 where the name says it."""

    path: Path
    pose_slot4: PoseSlot4 | None


@cache
def public_models() -> dict[str, PublicModel]:
    """The table of public models by name."""
    return {name: validate(PublicModel, Layer(f"{TABLE}: {name}", row)) for name, row in read_yaml(TABLE).items()}


def packaged_models() -> dict[str, Path]:
    """Return the models that come with this package: the folder of each by name."""
    return {index.parent.name: index.parent for index in sorted(PACKAGED.glob(f"*/{INDEX}"))}


def locate_model(name: str, pose_slot4: PoseSlot4 | None = None, *, accept_licence: bool = False) -> Located:
    """Find a model by its name, its hub id or its path; fetch it if it is public and not cached.

    `pose_slot4` is what the caller knows of a model whose files do not say. Raises as `locate_by_name`.
    """
    if name in packaged_models():  # also beside a folder of that name, which ./NAME means
        return Located(packaged_models()[name], pose_slot4)
    path = Path(name)
    # runs/modle is a folder that is not there, and no repository of an owner called runs.
    if path.exists() or path.suffix in SUFFIXES or (len(path.parts) > 1 and path.parent.is_dir()):
        return Located(path, pose_slot4)
    found = locate_by_name(name, accept_licence=accept_licence)
    return Located(found.path, pose_slot4 or found.pose_slot4)


def open_located(found: Located, *, settings: ModelSettings | None = None, averaged: bool = True) -> Zero123Model:
    """Open a model on this machine, see `open_model`; an adapter's folder is opened on its base, merged.

    Raises Failure for an adapter whose base has changed.
    """
    if (found.path / DESCRIPTION).is_file():
        return open_adapted(found.path, lambda base: open_located(_locate_here(base), settings=settings))
    return open_model(found.path, pose_slot4=found.pose_slot4, settings=settings, averaged=averaged)


def _locate_here(name: str) -> Located:
    """Find a model on this machine alone, because an adapter's file must not decide what is fetched. Raises Failure."""
    public = public_models().get(name)
    cached = cached_path(public) if public else cached_folder(name) if is_hub_id(name) else None
    if name in packaged_models() or Path(name).exists() or cached is not None:
        return locate_model(name)
    raise Failure(f"expected the adapter's base {name} on this machine, got nothing; fetch it by its name first")


def cached_path(model: PublicModel) -> Path | None:
    """Where a public model is in the cache, None when it is not."""
    return cached_file(model.source, model.file) if model.file else cached_folder(model.source)


def locate_by_name(name: str, *, accept_licence: bool) -> Located:
    """Find a public model by its name or hub id; fetch it where it is not cached.

    Raises UsageError for an unknown name and for a non-commercial licence without acceptance, Failure where it cannot
    be fetched.
    """
    model = public_models().get(name)
    if model is None:
        if not is_hub_id(name):
            known = ", ".join([*packaged_models(), *public_models()])
            raise UsageError(f"--model: expected a folder, a .ckpt file, owner/name or any of {known}, got {name!r}")
        return Located(fetch_folder(name), None)
    # Before the licence: a cached model was accepted when it was fetched.
    cached = cached_path(model)
    if cached is not None:
        return Located(cached, model.pose_slot4)
    if not model.commercial and not accept_licence:
        raise UsageError(
            f"{name}: its licence ({model.licence}) forbids commercial use; read {model.page}, then repeat the "
            "command with --accept-licence"
        )
    path = fetch_file(model.source, model.file) if model.file else fetch_folder(model.source)
    return Located(path, model.pose_slot4)
