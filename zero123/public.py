"""Public models by name: where they are, how they are read, and on which terms."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from base.errors import UsageError
from base.settings import Layer, read_yaml, validate
from zero123.hub import cached_file, cached_folder, fetch_file, fetch_folder, is_hub_id
from zero123.settings import PublicModel

TABLE = Path(__file__).parent / "public_models.yaml"


@dataclass(frozen=True)
class Located:
    """A model on this machine: its folder or file, and its pose slot 4 where the name says it."""

    path: Path
    pose_slot4: Literal["radius_difference", "input_polar"] | None


@cache
def public_models() -> dict[str, PublicModel]:
    """The table of public models by name."""
    return {name: validate(PublicModel, Layer(f"{TABLE}: {name}", row)) for name, row in read_yaml(TABLE).items()}


def cached_path(model: PublicModel) -> Path | None:
    """Where a public model is in the cache, None when it is not."""
    return cached_file(model.source, model.file) if model.file else cached_folder(model.source)


def locate_by_name(name: str, *, accept_licence: bool) -> Located:
    """Find a public model by its name or hub id; fetch it where it is not cached.

    Raises UsageError for an unknown name and for a licence that forbids commercial use and is not accepted, Failure
    where it cannot be fetched.
    """
    model = public_models().get(name)
    if model is None:
        if not is_hub_id(name):
            known = ", ".join(public_models())
            raise UsageError(f"--model: expected a folder, a .ckpt file, owner/name or any of {known}, got {name!r}")
        return Located(fetch_folder(name), None)
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
