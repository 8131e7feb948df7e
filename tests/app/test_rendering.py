"""`zero123 render`: one model or many, whole or not at all, and once."""

import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.commands.render import rig_overrides
from app.rendering import list_requested_models, render_models
from app.settings import load_settings
from base.errors import UsageError
from base.outcomes import Outcome
from base.progress import SILENT
from base.settings import Layer, merge, read_yaml, validate
from pipeline.catalog.objects import short_uid
from render.settings import RenderSettings
from tests.pipeline.builds import EXAMPLES, ROOT, Told, files, models

TINY = {"hw": [32, 32], "views": 2, "samples": 1, "denoise": {"enabled": False}}


@pytest.fixture
def settings() -> Callable[..., RenderSettings]:
    shipped = read_yaml(ROOT / "pipeline.yaml")["metadata"]["pipeline"]["render"]

    def make(**changes: Any) -> RenderSettings:
        return validate(RenderSettings, Layer("test", merge(merge(shipped, TINY), changes)))

    return make


def test_many_models_each_have_a_folder_and_are_done_once(
    settings: Callable[..., RenderSettings], tmp_path: Path
) -> None:
    folder = models(tmp_path / "models", "stool", "avocado")
    (folder / "broken.glb").write_text("no model")
    asked = list_requested_models([folder], tmp_path / "out", SILENT)
    counts: list[None] = []
    ends = list(render_models(asked, settings(), 0, "views", Told(lambda: counts.append(None))))
    assert [end.result.outcome for end in ends] == [Outcome.OK, Outcome.CORRUPT, Outcome.OK]
    assert len(list((tmp_path / "out").iterdir())) == 2, "what failed leaves nothing"
    assert len(counts) == 2 + 2, "view by view, and nothing of the broken model"
    before = files(tmp_path / "out")
    again = list(render_models(asked, settings(), 0, "views", SILENT))
    assert [end.done_before for end in again] == [True, False, True]
    assert files(tmp_path / "out") == before
    other = list(render_models(asked, settings(samples=2), 0, "nerf", SILENT))
    assert [end.done_before for end in other] == [False, False, False]
    assert {path.name for path in asked[0].out.iterdir()} == {
        "000.png", "001.png", "render.json", "transforms.json", "views.json",
    }  # fmt: skip


def test_a_single_model_goes_straight_into_the_folder(tmp_path: Path) -> None:
    (one,) = list_requested_models([EXAMPLES / "stool.glb"], tmp_path / "out", SILENT)
    assert one.out == tmp_path / "out"
    (in_folder,) = list_requested_models([models(tmp_path / "models", "stool")], tmp_path / "out", SILENT)
    assert in_folder.uid == one.uid, "the same cameras as in a build of the folder"


def test_what_cannot_be_meant_is_a_usage_error(settings: Callable[..., RenderSettings], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for sources, sentence in (
        ([tmp_path / "none"], "expected a model's file or a folder of models"),
        ([tmp_path / "empty"], r"expected models \(.*\) in .*empty, got 0 other files"),
        ([EXAMPLES / "stool.glb", models(tmp_path / "a", "stool") / "stool.glb"], "expected models of different names"),
    ):
        with pytest.raises(UsageError, match=sentence):
            list_requested_models(sources, tmp_path / "out", SILENT)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    asked = list_requested_models([EXAMPLES / "stool.glb"], tmp_path / "full", SILENT)
    with pytest.raises(UsageError, match=r"expected only files of `zero123 render`, got thesis\.txt"):
        list(render_models(asked, settings(), 0, "views", SILENT))
    assert files(tmp_path / "full") == {"thesis.txt": b"precious"}


def test_rendering_completes_a_folder_of_views(settings: Callable[..., RenderSettings], tmp_path: Path) -> None:
    asked = list_requested_models([EXAMPLES / "stool.glb"], tmp_path / "out", SILENT)

    def again(**changes: Any) -> bool:
        (end,) = render_models(asked, settings(**changes), 0, "views", SILENT)
        assert end.result.outcome is Outcome.OK
        return end.done_before

    again()
    before = files(tmp_path / "out")
    (tmp_path / "out" / "01.webp").unlink()
    assert not again()
    assert {name: data for name, data in files(tmp_path / "out").items() if name != "render.json"} == {
        name: data for name, data in before.items() if name != "render.json"
    }
    assert again()
    (tmp_path / "out" / "notes.txt").write_text("precious")
    with pytest.raises(UsageError, match=r"got notes\.txt"):
        again(samples=2)
    assert (tmp_path / "out" / "notes.txt").read_text() == "precious"


def test_the_record_keeps_the_path_and_links_are_followed(
    settings: Callable[..., RenderSettings], tmp_path: Path
) -> None:
    models(tmp_path / "store", "stool")
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "linked").symlink_to("../store")
    (tmp_path / "objects" / os.fsdecode(b"caf\xe9.glb")).write_bytes(b"glTF")
    (one,) = list_requested_models([tmp_path / "objects"], tmp_path / "out", told := Told())
    assert told.lines == [f"{tmp_path}/objects: 'caf\\udce9.glb' is left out: expected a name in UTF-8"]
    assert re.fullmatch(r"stool_[0-9a-f]{16}", one.uid)
    (end,) = render_models([one], settings(), 0, "views", SILENT)
    assert end.result.outcome is Outcome.OK
    assert json.loads((one.out / "render.json").read_text())["path"] == "linked/stool.glb"


def test_views_of_an_earlier_release_are_not_rendered_again(
    settings: Callable[..., RenderSettings], tmp_path: Path
) -> None:
    """They keep the short uid, which their cameras follow from."""
    folder, made = models(tmp_path / "models", "stool"), settings()
    fresh = list_requested_models([folder], tmp_path / "many", SILENT)[0]
    for out, source in (("many", folder), ("out", folder / "stool.glb")):
        asked = list_requested_models([source], tmp_path / out, SILENT)
        short = [replace(one, uid=short_uid(one.uid)) for one in asked]
        list(render_models(short, made, 0, "views", SILENT))
    (tmp_path / "many" / fresh.uid).rename(tmp_path / "many" / short_uid(fresh.uid))
    for out, source in (("many", folder), ("out", folder / "stool.glb")):
        asked = list_requested_models([source], tmp_path / out, SILENT)
        (end,) = render_models(asked, made, 0, "views", SILENT)
        assert end.done_before
        assert asked[0].uid == short_uid(fresh.uid)


@pytest.mark.parametrize("of_non_utf8", ["file", "folder"])
def test_a_name_that_is_not_utf8_is_a_usage_error(of_non_utf8: str, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"n\xe9")
    folder.mkdir()
    (folder / "a.glb").write_bytes(b"glTF")
    with pytest.raises(UsageError, match=r"n�.*: expected a name in UTF-8$"):
        list_requested_models([folder / "a.glb" if of_non_utf8 == "file" else folder], tmp_path / "out", SILENT)


def test_a_rig_brings_its_views_and_lens_and_set_still_wins() -> None:
    render = load_settings(None, [], [*rig_overrides("sv3d"), "render.samples=3"]).render
    assert (render.views, render.camera_sampling, render.samples) == (21, "rig", 3)
    assert math.degrees(2.0 * math.atan(render.lens.sensor_mm / 2.0 / render.lens.focal_mm)) == pytest.approx(33.8)
    # A rig without a lens leaves the settings' own.
    assert load_settings(None, [], rig_overrides("orbit")).render.lens == load_settings(None).render.lens
    with pytest.raises(UsageError, match="--rig: expected gradio, orbit"):
        rig_overrides("zero")
