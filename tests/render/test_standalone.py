"""The Python front door of rendering: one call, a folder of views."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from base.errors import Failure
from render import render_object
from render.settings import RenderSettings
from shards.image import decode_rgba
from tests.render.conftest import EXAMPLES


def test_one_call_renders_a_model(settings: Callable[..., RenderSettings], tmp_path: Path) -> None:
    small = settings(hw=[32, 32], samples=1)
    result = render_object(EXAMPLES / "van.glb", tmp_path / "views", small)
    assert len(result.views) == 2
    assert decode_rgba((tmp_path / "views" / "01.webp").read_bytes()).shape == (32, 32, 4)
    assert np.load(tmp_path / "views" / "extrinsics.npy").shape == (2, 3, 4)


def test_a_file_that_is_no_model_raises_with_its_outcome(
    settings: Callable[..., RenderSettings], tmp_path: Path
) -> None:
    (tmp_path / "notes.glb").write_text("not a model")
    with pytest.raises(Failure, match=r"notes\.glb: \w+: "):
        render_object(tmp_path / "notes.glb", tmp_path / "views", settings())
