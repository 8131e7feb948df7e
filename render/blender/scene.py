"""An empty scene and all its render settings. No setting keeps Blender's default, for it may change with a version."""

from typing import Any

import bpy

from render.blender.floats import set_png_output
from render.job import COLOUR


def make_empty_scene() -> bpy.types.Scene:
    """Remove everything of earlier objects and start from factory settings, with scripts off."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    # Drivers and scripts of a Blender file could run otherwise.
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False
    return bpy.context.scene


def apply_render_settings(scene: bpy.types.Scene, settings: dict[str, Any]) -> None:
    """Set every render setting of the scene from a dumped `RenderSettings`."""
    _set_output(scene, settings)
    _set_colours(scene, settings)
    _set_sampling(scene, settings)
    _set_denoiser(scene, settings["denoise"])


def _set_output(scene: bpy.types.Scene, settings: dict[str, Any]) -> None:
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_y, render.resolution_x = settings["hw"]
    render.resolution_percentage = 100
    render.pixel_aspect_x = render.pixel_aspect_y = 1.0
    render.film_transparent = True
    render.use_border = False
    render.use_compositing = render.use_sequencer = False
    render.use_stamp = False
    render.use_file_extension = False
    render.use_motion_blur = False
    # The scene's geometry is the same for all views, so Cycles keeps it.
    render.use_persistent_data = True
    render.threads_mode = "FIXED"
    render.threads = settings["child"]["threads"]
    # Dithering adds noise to the last bit, and lossless files grow by it.
    render.dither_intensity = 0.0
    set_png_output(scene)


def _set_colours(scene: bpy.types.Scene, settings: dict[str, Any]) -> None:
    scene.display_settings.display_device = COLOUR["display"]
    view = scene.view_settings
    view.view_transform = settings["view_transform"]
    view.look = COLOUR["look"]
    view.exposure = settings["exposure"]
    view.gamma = COLOUR["gamma"]
    view.use_curve_mapping = False


def _set_sampling(scene: bpy.types.Scene, settings: dict[str, Any]) -> None:
    cycles, bounces = scene.cycles, settings["bounces"]
    cycles.samples = settings["samples"]
    # The same seed for all views and objects: a picture must be reproducible.
    cycles.seed = 0
    cycles.use_animated_seed = False
    cycles.use_adaptive_sampling = settings["adaptive_threshold"] > 0.0
    cycles.adaptive_threshold = settings["adaptive_threshold"]
    cycles.adaptive_min_samples = 0
    cycles.sampling_pattern = "TABULATED_SOBOL"
    # Limits by time would make the picture depend on the machine's load.
    cycles.time_limit = 0.0
    cycles.use_auto_tile = False
    cycles.sample_clamp_direct = 0.0
    cycles.sample_clamp_indirect = settings["clamp_indirect"]
    cycles.use_light_tree = settings["light_tree"]
    cycles.light_sampling_threshold = 0.01
    cycles.blur_glossy = 1.0
    cycles.caustics_reflective = cycles.caustics_refractive = True
    cycles.use_guiding = cycles.use_fast_gi = False
    cycles.pixel_filter_type = "BLACKMAN_HARRIS"
    cycles.filter_width = settings["filter_width_px"]
    cycles.max_bounces = bounces["total"]
    cycles.diffuse_bounces = bounces["diffuse"]
    cycles.glossy_bounces = bounces["glossy"]
    cycles.transmission_bounces = bounces["transmission"]
    cycles.transparent_max_bounces = bounces["transparent"]
    cycles.volume_bounces = 0


def _set_denoiser(scene: bpy.types.Scene, denoise: dict[str, Any]) -> None:
    cycles = scene.cycles
    cycles.use_denoising = denoise["enabled"]
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    cycles.denoising_quality = denoise["quality"]
    cycles.denoising_prefilter = denoise["prefilter"]
    # On the CPU always, so that its bytes do not depend on the GPU.
    cycles.denoising_use_gpu = False
