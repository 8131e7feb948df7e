"""Choose the device for Cycles: the requested device or an error, never another in silence."""

import bpy

PREFERENCE = ("OPTIX", "CUDA", "HIP", "METAL", "ONEAPI")

DRIVERS = {
    "OPTIX": "NVIDIA's driver with OptiX",
    "CUDA": "NVIDIA's driver with CUDA",
    "HIP": "AMD's driver with HIP",
    "METAL": "a Mac with Metal",
    "ONEAPI": "Intel's driver with Level Zero",
}
"""What each kind needs besides the card itself."""


class DeviceMissing(Exception):
    """The device asked for is not here."""


def choose_device(wanted: str) -> dict[str, str]:
    """`kind` and `name` of the device to use for `wanted` (a kind, CPU or auto). Raises DeviceMissing."""
    kinds = PREFERENCE if wanted == "auto" else () if wanted == "CPU" else (wanted,)
    for kind in kinds:
        if names := _names(kind):
            return {"kind": kind, "name": names[0]}
    if wanted in ("auto", "CPU"):
        return {"kind": "CPU", "name": (_names("CPU") or ["CPU"])[0]}
    raise DeviceMissing(
        f"expected a device for {wanted}, got nothing: see to {DRIVERS[wanted]}, or set render.device to CPU or auto"
    )


def use_device(device: dict[str, str]) -> None:
    """Make the current scene render on the device from `choose_device` only. Raises DeviceMissing if it is gone."""
    cycles = bpy.context.preferences.addons["cycles"].preferences
    kind = device["kind"]
    bpy.context.scene.cycles.device = "CPU" if kind == "CPU" else "GPU"
    cycles.compute_device_type = "NONE" if kind == "CPU" else kind
    if kind == "CPU":
        return
    # Without any device in use, Cycles would render on the CPU and say nothing.
    found = [one for one in cycles.get_devices_for_type(kind) if one.type in (kind, "CPU")]
    mine = next((number for number, one in enumerate(found) if (one.type, one.name) == (kind, device["name"])), None)
    if mine is None:
        raise DeviceMissing(f"expected {device['name']} for {kind}, got no such device any more")
    for number, one in enumerate(found):
        # All others off: Blender's preferences may have several GPUs on.
        one.use = number == mine


def _names(kind: str) -> list[str]:
    cycles = bpy.context.preferences.addons["cycles"].preferences
    try:
        return [device.name for device in cycles.get_devices_for_type(kind) if device.type == kind]
    except (TypeError, ValueError):
        return []  # this build of Blender does not know the kind
