"""Models that are broken, hostile or strange: each ends as it must, one after another in the same Blender."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from base.outcomes import Outcome
from render.child import RenderChild
from render.run import render_views
from tests.render.conftest import EXAMPLES, ROOT
from tests.render.models import digests

HARD = ROOT.parent / "shared" / "objects" / "hard"
SMALL = {"hw": [32, 32], "views": 2, "samples": 1, "denoise": {"enabled": False}, "checks": {"bad": []}}
MEMORY_MB = 2000

OK = Outcome.OK
ENDS: dict[str, tuple[Outcome, str]] = {
    "accessor_four_billion.glb": (Outcome.CORRUPT, "accessor 0"),
    "accessor_past_buffer.glb": (Outcome.CORRUPT, "accessor 0"),
    "animated_skinned_fox.glb": (OK, ""),
    "animated_skinned_hearts.glb": (OK, ""),
    "bad_json.glb": (Outcome.CORRUPT, "JSON"),
    "buffer_outside_folder.gltf": (Outcome.UNSUPPORTED, "leaves its folder"),
    "buffer_over_http.gltf": (Outcome.UNSUPPORTED, "nothing is fetched"),
    "corrupt_texture.glb": (Outcome.MISSING_PICTURES, "not readable"),
    "draco_axe.glb": (OK, ""),
    "draco_heart.glb": (OK, ""),
    "empty_scene.glb": (Outcome.EMPTY, "faces"),
    "far_from_origin.glb": (OK, ""),
    "flat_plane.glb": (OK, ""),
    "gltf_1_box.glb": (Outcome.UNSUPPORTED, "version 1"),
    "gpu_instancing.glb": (OK, ""),
    "ground_and_skydome.glb": (OK, ""),
    "html_error_page.glb": (Outcome.CORRUPT, "DOCTYPE"),
    "huge_scale.glb": (OK, ""),
    "index_out_of_range.glb": (Outcome.CORRUPT, "expected indices below 8 in mesh 0"),
    "ktx2_cracker_box.glb": (Outcome.UNSUPPORTED, "KHR_texture_basisu"),
    "lights_and_camera_inside.glb": (OK, ""),
    "lights_only_extra.glb": (OK, ""),
    "lines_only.glb": (Outcome.EMPTY, "faces"),
    "many_meshes_farm.glb": (OK, ""),
    "many_nodes_600.glb": (OK, ""),
    "meshopt_ferris_wheel.glb": (Outcome.UNSUPPORTED, "EXT_meshopt_compression"),
    "mirrored_negative_scale.glb": (OK, ""),
    "missing_buffer.gltf": (Outcome.CORRUPT, "does_not_exist.bin"),
    "missing_image.gltf": (Outcome.MISSING_PICTURES, "missing_texture.png"),
    "morph_targets.glb": (OK, ""),
    "name with spaces (1).glb": (OK, ""),
    "nan_positions.glb": (OK, ""),
    "no_default_scene.glb": (OK, ""),
    "no_material_lion.glb": (OK, ""),
    "node_cycle.glb": (Outcome.CORRUPT, "below itself"),
    "points_only.glb": (Outcome.EMPTY, "faces"),
    "quantized_ice_cream_truck.glb": (OK, ""),
    "single_point_mesh.glb": (Outcome.EMPTY, "extent"),
    "text_not_glb.glb": (Outcome.CORRUPT, "This is not"),
    "texture_8192.glb": (OK, ""),
    "tiny_scale.glb": (OK, ""),
    "transparent_glass_table.glb": (OK, ""),
    "transparent_transmission_test.glb": (OK, ""),
    "truncated_bin.glb": (Outcome.CORRUPT, "bytes as the header says"),
    "truncated_header.glb": (Outcome.CORRUPT, "first 10 bytes"),
    "truncated_json.glb": (Outcome.CORRUPT, "bytes as the header says"),
    "unknown_required_extension.glb": (Outcome.UNSUPPORTED, "EXAMPLE_unknown"),
    "version_99.glb": (Outcome.UNSUPPORTED, "version 99"),
    "vertex_colours_only_dragon.glb": (OK, ""),
    "webp_cat_statue.glb": (OK, ""),
    "wrong_length_header.glb": (Outcome.CORRUPT, "bytes as the header says"),
    "zero_area.glb": (Outcome.EMPTY, "area"),
    "zero_byte.glb": (Outcome.CORRUPT, "empty file"),
    "zip_not_glb.glb": (Outcome.CORRUPT, "PK"),
}
"""By file: its outcome, and what its reason, or for `ok` its warning, must name."""

needs_hard_files = pytest.mark.skipif(not HARD.is_dir(), reason="the hard files do not lie beside this checkout")


@pytest.fixture(scope="module")
def limited(settings: Any, shipped: dict[str, Any]) -> Iterator[RenderChild]:
    """A Blender child of its own, with a cap on its memory."""
    with RenderChild(settings(child={**shipped["child"], "memory_mb": MEMORY_MB})) as child:
        yield child


@needs_hard_files
def test_every_hard_file_has_its_row() -> None:
    assert {path.name for path in HARD.iterdir()} == set(ENDS)


@needs_hard_files
@pytest.mark.parametrize("name", ENDS)
def test_it_ends_as_it_must(name: str, settings: Any, limited: RenderChild, tmp_path: Path) -> None:
    outcome, words = ENDS[name]
    result = render_views(limited, HARD / name, "hard", settings(**SMALL), 0, tmp_path / "out")
    assert result.outcome is outcome, result.reason
    assert words in (result.reason if outcome is not OK else "; ".join(result.warnings))
    assert bool(words) or not result.warnings
    assert limited.peak_mb < MEMORY_MB
    assert (tmp_path / "out" / "views.json").is_file() == (outcome is OK)


def test_later_objects_keep_their_bytes(
    settings: Any, limited: RenderChild, blender: RenderChild, tmp_path: Path
) -> None:
    for child, folder in ((limited, "after"), (blender, "fresh")):
        render_views(child, EXAMPLES / "stool.glb", "stool", settings(**SMALL), 0, tmp_path / folder)
    assert digests(tmp_path / "after") == digests(tmp_path / "fresh")


@needs_hard_files
def test_nothing_is_fetched(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    """The file that names an address, with one at which somebody listens; pictures at addresses: see test_sandbox."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        text = (HARD / "buffer_over_http.gltf").read_text()
        assert text.count("127.0.0.1:9/") == 1
        address = f"127.0.0.1:{server.getsockname()[1]}/"
        (tmp_path / "model.gltf").write_text(text.replace("127.0.0.1:9/", address))
        result = render_views(blender, tmp_path / "model.gltf", "far", settings(**SMALL), 0, tmp_path / "out")
        assert result.outcome is Outcome.UNSUPPORTED
        assert f"the address 'http://{address}x.bin'; nothing is fetched" in result.reason
        server.settimeout(0.0)
        with pytest.raises(BlockingIOError):
            server.accept()
