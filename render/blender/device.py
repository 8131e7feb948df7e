"""Which device Cycles renders on: the one asked for, or an error, never another in silence."""

import bpy

PREFERENCE = ("OPTIX", "CUDA", "HIP", "METAL", "ONEAPI")


class DeviceMissing(Exception):
    """The device asked for is not here."""


def chosen_device(wanted: str) -> dict[str, str]:
    """`kind` and `name` of the device to use for `wanted` (a kind, CPU or auto). Raises DeviceMissing."""
    kinds = PREFERENCE if wanted == "auto" else () if wanted == "CPU" else (wanted,)
    for kind in kinds:
        if names := _names(kind):
            return {"kind": kind, "name": names[0]}
    if wanted in ("auto", "CPU"):
        return {"kind": "CPU", "name": (_names("CPU") or ["CPU"])[0]}
    raise DeviceMissing(f"expected a {wanted} device, got none; set render.device to CPU or auto")


def use_device(device: dict[str, str]) -> None:
    """Make the current scene render on a device that `chosen_device` named."""
    cycles = bpy.context.preferences.addons["cycles"].preferences
    is_cpu = device["kind"] == "CPU"
    cycles.compute_device_type = "NONE" if is_cpu else device["kind"]
    for found in cycles.devices:
        found.use = not is_cpu and found.type == device["kind"] and found.name == device["name"]
    bpy.context.scene.cycles.device = "CPU" if is_cpu else "GPU"


def _names(kind: str) -> list[str]:
    cycles = bpy.context.preferences.addons["cycles"].preferences
    try:
        return [device.name for device in cycles.get_devices_for_type(kind) if device.type == kind]
    except (TypeError, ValueError):
        return []  # this build of Blender does not know the kind
