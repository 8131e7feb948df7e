"""Caches of GPU kernels, shared by all Blender processes of a machine."""

import os
from pathlib import Path


def kernel_caches(device: str) -> dict[str, str]:
    """Return environment variables for a lasting cache of kernels for `device`.

    They are empty for the CPU and where no cache can be written; the child then caches in its own folder.
    """
    if device == "CPU":
        return {}
    # Compiling kernels takes minutes, and the child's own folder does not outlive it.
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zero123" / "kernels"
    folders = {
        name: cache / name.split("_")[0].lower() for name in ("CUDA_CACHE_PATH", "OPTIX_CACHE_PATH", "SYCL_CACHE_DIR")
    }
    try:
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return {}
    # An existing folder of another user passes `mkdir`.
    if not all(os.access(folder, os.W_OK) for folder in folders.values()):
        return {}
    return {**{name: str(folder) for name, folder in folders.items()}, "SYCL_CACHE_PERSISTENT": "1"}
