"""Frozen parts named by a checkpoint instead of held in it: TAESD out of this package, or a part of a base model."""

from pathlib import Path
from typing import Any, TypeVar, cast

from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from torch import nn

from base.errors import Failure
from zero123.encoders import weights_digest
from zero123.taesd import load_taesd, taesd_digest
from zero123.tensors import check_finite

M = TypeVar("M", bound=nn.Module)

Reference = dict[str, str]
CONFIG = "config.json"
HUB_PATTERNS = ("*.json", "*.safetensors", "*.bin")


def taesd_reference() -> Reference:
    """What a checkpoint writes instead of TAESD's weights."""
    return {"packaged": "taesd", "sha256": taesd_digest()}


def base_reference(source: str, revision: str | None, part: str, module: nn.Module) -> Reference:
    """What a checkpoint writes instead of a frozen part of the base model, `module`: where it is, and its digest.

    A folder is named by its full path, for another working directory, and as it was set, for another machine; what it
    holds may change, as what a hub's revision means may.
    """
    told = {"source": source, "part": part, "sha256": weights_digest(module)}
    if Path(source).is_dir():
        told["path"] = str(Path(source).absolute())
    return told | ({"revision": revision} if revision else {})


def resolve(cls: type[M], reference: Any, *, where: str) -> M:
    """Return the module of a reference. Raises Failure when it is not there or is not the same any more.

    A reference without a digest accepts the present weights.
    """
    if not isinstance(reference, dict) or not all(isinstance(value, str) for value in reference.values()):
        raise Failure(f"{where}: expected a reference to a frozen part, got {reference!r}")
    if reference.get("packaged") == "taesd" and cls is AutoencoderTiny:
        if reference.get("sha256") != taesd_digest():
            raise Failure(f"{where}: expected the TAESD that it was trained with, got another one in this package")
        return cast("M", load_taesd())
    if {"source", "part"} <= set(reference) <= {"source", "part", "revision", "sha256", "path"}:
        source = _found(reference, where)
        module = base_part(cls, source, reference.get("revision"), reference["part"])
        # A folder or a branch of a hub can change after training; the digest notices.
        if "sha256" in reference and reference["sha256"] != weights_digest(module):
            part = f"{reference['part']} of {source}"
            raise Failure(f"{where}: expected the weights that it was trained with, got others in {part}")
        return module
    raise Failure(f"{where}: expected a reference to TAESD or to a base model, got {reference!r}")


def _found(reference: Reference, where: str) -> str:
    source = reference["source"]
    if "path" not in reference:
        return source
    # The full path first; on another machine only the relative may exist.
    for folder in (reference["path"], source):
        if Path(folder).is_dir():
            return folder
    raise Failure(f"{where}: expected the base model in {source} or {reference['path']}, got no such folders")


def base_part(cls: type[M], source: str, revision: str | None, part: str) -> M:
    """A part of a base model (Stable Diffusion image variations) in diffusers' layout, in float32.

    `source` is a local folder or a hub id. Old files name the autoencoder's attention differently and are pickled;
    diffusers and transformers translate the names and open tensors only. A missing or unknown tensor is a Failure.
    """
    if part not in ("unet", "vae", "image_encoder"):
        raise Failure(f"{source}: expected a part of a model, got {part!r}")
    folder = base_folder(source, revision, part)
    if not (folder / part / CONFIG).is_file():  # diffusers would take the path for a hub id, and ask for it there
        raise Failure(f"{folder}: expected a {cls.__name__} in {part}/, got no {part}/{CONFIG}")
    try:
        module, info = cast("Any", cls).from_pretrained(
            folder / part, output_loading_info=True, local_files_only=True, **_loading(cls)
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise Failure(f"{folder / part}: expected a {cls.__name__}, got: {' '.join(str(error).split())}") from None
    for word in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(str(name) for name in info.get(word, ()) if "position_ids" not in str(name))
        if names:
            raise Failure(f"{folder / part}: expected no {word.replace('_', ' ')}, got {', '.join(names[:3])}")
    check_finite(module.state_dict(), where=str(folder / part))
    return cast("M", module.float())


def base_folder(source: str, revision: str | None, part: str) -> Path:
    """The folder of a base model: `source` itself, or its copy fetched from the hub, tensors and JSON only."""
    if Path(source).is_dir():
        return Path(source)
    if source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise Failure(f"model.weights: expected a folder or a hub id such as owner/name, got {source!r}")
    from huggingface_hub import snapshot_download

    patterns = [f"{part}/{pattern}" for pattern in HUB_PATTERNS]
    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=patterns))
    except Exception as error:  # noqa: BLE001 -- no network, no such model, no access: each is one sentence
        raise Failure(f"model.weights: could not fetch {source}: {' '.join(str(error).split())}") from None


def _loading(cls: type[nn.Module]) -> dict[str, Any]:
    """Without accelerate's lazy loading: it would leave a missing tensor on no device at all."""
    return {"low_cpu_mem_usage": False} if cls in (AutoencoderKL, UNet2DConditionModel) else {}
