"""More views of an object: those made before stay, byte for byte, and the rest makes what rendering all makes."""

import json
from collections.abc import Callable
from pathlib import Path

from base.outcomes import Outcome
from render.child import RenderChild
from render.earlier import EarlierViews
from render.run import render_views
from render.settings import RenderSettings
from tests.render.conftest import EXAMPLES


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_only_the_views_that_are_missing_are_rendered(
    blender: RenderChild, settings: Callable[..., RenderSettings], tmp_path: Path
) -> None:
    views: list[str] = []
    blender.watch = lambda phase: views.append(phase) if phase == "encode" else None

    def rendered(count: int, name: str, *earlier: EarlierViews) -> int:
        views.clear()
        chosen = settings(views=count, hw=[32, 32], passes=["depth"])
        model = EXAMPLES / "stool.glb"
        assert render_views(blender, model, "stool", chosen, 0, tmp_path / name, *earlier).outcome is Outcome.OK
        return len(views)

    try:
        assert (rendered(2, "two"), rendered(14, "all")) == (2 * 2, 14 * 2)
        record = json.loads((tmp_path / "two" / "views.json").read_bytes())
        assert rendered(14, "more", EarlierViews(tmp_path / "two", record)) == 12 * 2
        assert content(tmp_path / "more") == content(tmp_path / "all")

        (tmp_path / "two" / "00.webp").write_bytes(b"kept as it is")
        rendered(14, "kept", EarlierViews(tmp_path / "two", record))
        assert content(tmp_path / "kept")["00.webp"] == b"kept as it is"

        elsewhere = EarlierViews(tmp_path / "two", {**record, "device": "OPTIX"})
        rendered(14, "other", elsewhere)
        assert content(tmp_path / "other") == content(tmp_path / "all"), "views of two devices are not mixed"
    finally:
        blender.watch = lambda _phase: None
