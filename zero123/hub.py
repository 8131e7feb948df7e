"""Models of the Hugging Face Hub, fetched by its own client into its own cache: tensors and JSON, no code.

The client resumes an interrupted fetch. A model in the cache needs no network.
"""

from collections.abc import Callable
from pathlib import Path

from base.errors import Failure

PARTS = ("unet", "vae", "image_encoder", "scheduler", "cc_projection", "clip_camera_projection")
SAFE = ("diffusion_pytorch_model.safetensors", "model.safetensors")
TENSORS = (*SAFE, "diffusion_pytorch_model.bin", "pytorch_model.bin")
"""The names of a part's tensors; half-precision variants have longer names. A `.bin` is read as tensors only."""


def is_hub_id(text: str) -> bool:
    """True for a name such as owner/name."""
    return text.count("/") == 1 and not text.startswith((".", "/", "~")) and all(text.split("/"))


def fetch_folder(source: str) -> Path:
    """The folder of a model in diffusers' layout, fetched where it is not cached. Raises Failure in a sentence."""
    from huggingface_hub import HfApi, snapshot_download

    def fetch() -> Path:
        # A list of files needs the network, and the cache alone may do.
        if _is_offline():
            return Path(snapshot_download(source, local_files_only=True))
        wanted = _wanted(HfApi().list_repo_files(source))
        if not wanted:
            raise Failure(f"{source}: expected a model in diffusers' layout, got a repository without it")
        return Path(snapshot_download(source, allow_patterns=wanted))

    return _fetched(fetch, source, lambda: cached_folder(source))


def fetch_file(source: str, name: str) -> Path:
    """A checkpoint file of a repository, fetched where it is not cached. Raises Failure in a sentence."""
    from huggingface_hub import hf_hub_download

    return _fetched(lambda: Path(hf_hub_download(source, name)), f"{source}/{name}", lambda: cached_file(source, name))


def cached_folder(source: str) -> Path | None:
    """Return the folder of a model in the cache, or None."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source, "model_index.json")
    return Path(found).parent if isinstance(found, str) else None


def cached_file(source: str, name: str) -> Path | None:
    """Return a checkpoint file in the cache, or None."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source, name)
    return Path(found) if isinstance(found, str) else None


def _wanted(files: list[str]) -> list[str]:
    """Return the files needed to read a model: for each part its JSON and its tensors in one form, safe where there
    is."""
    wanted = [name for name in files if name == "model_index.json"]
    for part in PARTS:
        inside = [name.removeprefix(f"{part}/") for name in files if name.startswith(f"{part}/")]
        wanted += [f"{part}/{name}" for name in inside if name.endswith(".json") and "/" not in name]
        tensors = [name for name in TENSORS if name in inside]
        # A single form: repositories hold the same weights twice or more.
        wanted += [f"{part}/{name}" for name in tensors[:1]]
        if not tensors:
            split = [
                name for name in inside if "-of-" in name and name.endswith(".safetensors") and ".fp16" not in name
            ]
            wanted += [f"{part}/{name}" for name in split]
    return wanted if "model_index.json" in wanted else []


def _is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _fetched(fetch: Callable[[], Path], what: str, cached: Callable[[], Path | None]) -> Path:
    try:
        return fetch()
    except Failure:
        raise
    except Exception as error:  # noqa: BLE001 -- no network, no such model, no access: each is one sentence
        # Without a network the cached model still works.
        found = cached()
        if found is not None:
            return found
        raise Failure(f"{what}: could not fetch it: {' '.join(str(error).split())[:300]}") from None
