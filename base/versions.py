"""The packages, interpreter and machine behind a result."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "zero123-factory", "bpy", "deltalake", "diffusers", "numpy", "objaverse", "pillow", "pyarrow", "ray",
    "safetensors", "scikit-image", "torch", "transformers", "trimesh", "webdataset",
)  # fmt: skip


def versions() -> dict[str, str]:
    """List the versions of Python and of the installed packages that may influence a result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str | int]:
    """Describe the processor, the usable cores, the memory in MB and the system, without the host name."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")
