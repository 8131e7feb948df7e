"""Our pictures beside those of three.js: the same files, cameras and white world.

Both render without anti-aliasing, so that a pixel is what the ray through its middle meets. Where the two disagree, the
glTF 2.0 specification decides.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from base.outcomes import Outcome
from geometry.camera import Lens
from render.child import RenderChild
from render.run import render_views
from render.settings import RenderSettings
from render.viewpoints import draw_viewpoints
from tests.render.three.browser import Pictures, render_by_three
from tests.render.three.compare import Difference, worst
from tests.render.three.feature import Feature, textured_box
from tests.render.three.features.all import FEATURES
from tests.render.three.features.geometry import coloured_points
from tests.render.three.gltf import Gltf
from tests.render.three.shapes import box, encoded, picture

pytestmark = pytest.mark.server

UID, SEED = "three", 1990
"""Draw two cameras on opposite sides, which together see every face of a box."""

WRONG: dict[str, tuple[str, Callable[[], Gltf]]] = {
    "picture upside down": ("texture_nearest", lambda: textured_box(encoded(picture()[::-1]))),
    "picture mirrored": ("texture_nearest", lambda: textured_box(encoded(picture()[:, ::-1]))),
    "red and blue swapped": ("texture_nearest", lambda: textured_box(encoded(picture()[..., ::-1]))),
    "one texel of sixteen black": ("texture_nearest", lambda: textured_box(encoded(_one_texel_black()))),
    "taken as linear": ("texture_nearest", lambda: textured_box(encoded(_brightened(picture())))),
    "points' channels in another order": ("points", lambda: coloured_points("gbr")),
    "one face missing": ("texture_nearest", lambda: textured_box(encoded(picture()), shape=box().without_face(0))),
}
"""By mistake: a feature, and what our renderer is given in its place."""


class Rendered(NamedTuple):
    """What both renderers made of each feature, ours of each mistake, and by name what either said where it failed."""

    ours: Pictures
    theirs: Pictures
    failures: dict[str, str]

    def difference(self, name: str, mistake: str = "") -> Difference:
        """How far the two are apart for a feature; in place of ours, the picture of a mistake."""
        assert name not in self.failures, self.failures[name]
        return worst(self.ours[mistake or name], self.theirs[name])

    def allows(self, name: str) -> bool:
        """Whether the two agree about a feature."""
        return name not in self.failures and FEATURES[name].allows(self.difference(name))

    def table(self) -> str:
        """A line for each feature about which they disagree."""
        return "\n".join(f"{name:32} {self._row(name)}" for name in FEATURES if not self.allows(name))

    def _row(self, name: str) -> str:
        if name in self.failures:
            return self.failures[name].partition("\n")[0]
        colour, iou = self.difference(name)
        allowed = FEATURES[name]
        return f"colour {colour:6.2f} (at most {allowed.colour:g})  iou {iou:.4f} (at least {allowed.iou:g})"


def _one_texel_black() -> NDArray[np.uint8]:
    pixels = picture()
    pixels[1, 2] = 0
    return pixels


def _brightened(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(255.0 * (pixels / 255.0) ** (1 / 2.2)).astype(np.uint8)


def sharp(settings: Callable[..., RenderSettings], samples: int = 1, *, rest: bool = False) -> RenderSettings:
    """Settings under which both renderers do the same sums: no bounces, no denoiser, no pixel filter."""
    return settings(
        hw=[96, 96],
        radius=[1.7, 1.7],
        light="uniform",
        samples=samples,
        filter_width_px=0.01,
        bounces={"total": 0, "diffuse": 0, "glossy": 0, "transmission": 0, "transparent": 64},
        denoise={"enabled": False},
        checks={"bad": []},
        pose="rest" if rest else "first_frame",
    )


@pytest.fixture(scope="module")
def rendered(
    settings: Callable[..., RenderSettings], blender: RenderChild, tmp_path_factory: pytest.TempPathFactory
) -> Rendered:
    folder, profile = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("browser")
    ours: Pictures = {}
    failures: dict[str, str] = {}
    mistakes = {mistake: Feature(write=write) for mistake, (_, write) in WRONG.items()}
    for name, feature in {**FEATURES, **mistakes}.items():
        source = feature.save(folder / name)
        out = folder / name / "views"
        result = render_views(blender, source, UID, sharp(settings, feature.samples, rest=feature.rest), SEED, out)
        ours[name] = pictures_of(out)
        if result.outcome is not Outcome.OK:
            failures[name] = f"{result.outcome}: {result.reason}"
    theirs, failed = render_by_three(three_job(sharp(settings), FEATURES.items()), folder, profile)
    return Rendered(ours, theirs, failed | failures)


def pictures_of(folder: Path) -> list[NDArray[np.uint8]]:
    """The views in a folder."""
    found = []
    for path in sorted(folder.glob("*.webp")):
        with Image.open(path) as file:
            found.append(np.array(file))
    return found


def three_job(chosen: RenderSettings, features: Iterable[tuple[str, Feature]]) -> dict[str, object]:
    """What page.js is asked for: the cameras that our renderer draws, and each model with its bounds."""
    lens = Lens(**chosen.lens.model_dump())
    return {
        "size": chosen.hw[0],
        "fov_deg": float(np.degrees(lens.fov_rad)),
        "extrinsics": draw_viewpoints(chosen, UID, SEED).tolist(),
        "models": [{"name": name, **feature.for_three(f"/models/{name}")} for name, feature in features],
    }


@pytest.mark.parametrize("name", FEATURES)
def test_both_show_the_same(name: str, rendered: Rendered) -> None:
    if not rendered.allows(name):
        pytest.fail(f"{name} differs, among:\n{rendered.table()}", pytrace=False)


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_picture_is_found(mistake: str, rendered: Rendered) -> None:
    name = WRONG[mistake][0]
    assert not FEATURES[name].allows(rendered.difference(name, mistake))
