import pytest

from base.errors import UsageError
from base.settings import Layer, merge, read_yaml, validate
from render.fingerprint import fingerprint
from render.job import RenderJob
from render.settings import RenderSettings
from tests.render.conftest import ROOT

SHA = "0" * 64


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"light": "candle"}, "light to be any of area, hdri, studio, uniform, got"),
        ({"radius": [2.2, 1.5]}, "radius as"),
        ({"views": 1}, "render.views: expected"),
        ({"samples": 0}, "render.samples: expected"),
        ({"hw": [256]}, "render.hw"),
        ({"child": {"memory": 3}}, "child.memory: expected no such key, got 3"),
        ({"lights": {"area": {"world": -1.0}}}, "lights.area.world: expected"),
    ],
)
def test_a_wrong_value_is_named_with_its_path(shipped, change, sentence) -> None:
    with pytest.raises(UsageError) as error:
        validate(RenderSettings, Layer("file", merge(shipped, change)))
    assert sentence.removeprefix("render.") in str(error.value)


def test_the_legacy_preset_is_the_originals_recipe(shipped) -> None:
    """Value by value what objaverse-rendering/scripts/blender_script.py sets, or leaves to Blender 3.2."""
    preset = read_yaml(ROOT / "app" / "presets" / "legacy.yaml")["render"]
    legacy = validate(RenderSettings, Layer("legacy", merge(shipped, preset))).model_dump(mode="json")
    assert legacy["hw"] == [512, 512]
    assert legacy["views"] == 12
    assert legacy["camera_sampling"] == "cube"
    assert (legacy["radius"], legacy["lens"]) == ([1.5, 2.2], {"focal_mm": 35.0, "sensor_mm": 32.0})
    assert legacy["samples"] == 128
    assert legacy["adaptive_threshold"] == 0.01
    assert legacy["filter_width_px"] == 0.01
    assert legacy["bounces"] == {"total": 12, "diffuse": 1, "glossy": 1, "transmission": 3, "transparent": 3}
    assert legacy["denoise"] == {"enabled": True, "quality": "HIGH", "prefilter": "ACCURATE"}
    assert legacy["clamp_indirect"] == 10.0
    assert not legacy["light_tree"]
    assert not legacy["object_rectangle"]
    assert legacy["view_transform"] == "Filmic"
    assert legacy["exposure"] == 0.0
    assert legacy["alpha"] == "hard"
    rig = legacy["lights"][legacy["light"]]
    area, point = rig["lamps"]
    assert area["kind"] == "area"
    assert area["aim"] == "down"
    assert area["size"] == 100.0
    assert area["strength"] == [300.0, 600.0]
    assert area["x"] == [-1.0, 1.0]
    assert area["y"] == [-1.0, 1.0]
    assert area["z"] == [0.5, 1.5]
    assert point["kind"] == "point"
    assert point["size"] == 0.1
    assert point["strength"] == [1000.0, 1000.0]
    assert [point[axis][0] for axis in "xyz"] == pytest.approx([4.076, 1.005, 5.904], abs=1e-3)
    assert rig["world"] == pytest.approx(0.0509, abs=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"hw": [64, 65]},
        {"views": 3},
        {"samples": 5},
        {"camera_sampling": "cube"},
        {"radius": [1.5, 2.1]},
        {"lens": {"focal_mm": 36.0}},
        {"light": "uniform"},
        {"lights": {"area": {"world": 0.6}}},
        {"bounces": {"diffuse": 3}},
        {"filter_width_px": 1.0},
        {"denoise": {"quality": "HIGH"}},
        {"view_transform": "AgX"},
        {"exposure": 0.1},
        {"alpha": "hard"},
        {"checks": {"blank_coverage": 0.1}},
        {"max_bad_views": 1, "views": 4},
        {"passes": ["depth"]},
        {"adaptive_threshold": 0.01},
        {"clamp_indirect": 0.0},
        {"light_tree": True},
        {"object_rectangle": False},
    ],
)
def test_whatever_shows_changes_the_fingerprint(settings, change) -> None:
    assert fingerprint(SHA, settings(**change), "4.5", 0) != fingerprint(SHA, settings(), "4.5", 0)


def test_source_compat_and_seed_change_the_fingerprint(settings) -> None:
    prints = {
        fingerprint(SHA, settings(), "4.5", 0),
        fingerprint("1" * 64, settings(), "4.5", 0),
        fingerprint(SHA, settings(), "4.6", 0),
        fingerprint(SHA, settings(), "4.5", 1),
    }
    assert len(prints) == 4
    assert all(len(text) == 16 for text in prints)


@pytest.mark.parametrize(
    "change",
    [{"child": {"threads": 2, "memory_mb": 99}}, {"device": "auto"}, {"lights": {"uniform": {"world": 0.1}}}],
)
def test_what_does_not_show_leaves_the_fingerprint_alone(settings, change) -> None:
    assert fingerprint(SHA, settings(**change), "4.5", 0) == fingerprint(SHA, settings(), "4.5", 0)


def test_a_job_survives_json_exactly(settings) -> None:
    job = RenderJob(
        uid="van",
        file="/a/van.glb",
        seed=7,
        settings=settings().model_dump(mode="json"),
        extrinsics=[[[0.1, 1 / 3, 2.0, -1e-17]] * 3] * 2,
        lights=[{"kind": "world"}],
        out_dir="/b",
        root="/a",
        pictures={"a.png": "maps/a.png"},
        first_view=1,
    )
    assert RenderJob.from_json(job.to_json()) == job
    assert list(job.views) == [1]
