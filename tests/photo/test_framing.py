"""How large the object is in the frame: against the camera, against the original's preparation, never cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from geometry.camera import PAPER_LENS, look_at_origin, project
from geometry.framing import frame_fraction, square_around
from photo.framing import frame, frame_as_original, framing_words, object_box, resample
from tests.photo.pictures import cut_out_disc, disc, noise, settings

FRAMING = settings().framing


@pytest.mark.parametrize("radius", [1.5, 1.85, 2.2])
def test_the_fraction_is_what_the_camera_projects(radius: float) -> None:
    ends = np.array([[0.0, -0.5, 0.0], [0.0, 0.5, 0.0]])
    at = project(ends, look_at_origin([radius, 0.0, 0.0]), PAPER_LENS, (200, 200))
    assert frame_fraction(PAPER_LENS, radius) * 200 == pytest.approx(np.ptp(at[:, 0]))
    assert frame_fraction(PAPER_LENS, radius, 0.5) == pytest.approx(frame_fraction(PAPER_LENS, radius) / 2)


def test_a_camera_in_the_origin_is_refused() -> None:
    with pytest.raises(ValueError, match="away from the origin"):
        frame_fraction(PAPER_LENS, 0.0)


@given(st.floats(1, 500), st.floats(1, 500), st.floats(-50, 50), st.floats(-50, 50), st.floats(0.1, 1.0))
def test_frame_square_fits_the_box(width: float, height: float, x: float, y: float, fraction: float) -> None:
    left, top, right, bottom = square_around((x, y, x + width, y + height), fraction)
    assert right - left == pytest.approx(bottom - top)
    assert max(width, height) / (right - left) == pytest.approx(fraction)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((x + width / 2, y + height / 2))


@hypothesis_settings(max_examples=20, deadline=None)
@given(st.floats(6, 60), st.floats(0, 120), st.floats(0, 160), st.sampled_from([32, 64, 96]))
def test_framed_object_is_centred_and_scaled(radius: float, row: float, column: float, side: int) -> None:
    view = frame(cut_out_disc((120, 160), (row, column), radius), (side, side), FRAMING)
    if not disc((120, 160), (row, column), radius).any():
        return
    left, top, right, bottom = object_box(view, 127)
    expected = frame_fraction(FRAMING.lens(), FRAMING.radius, FRAMING.extent) * side
    assert max(right - left, bottom - top) == pytest.approx(expected, abs=2.0)
    assert (left + right) / 2 == pytest.approx(side / 2, abs=1.1)
    assert (top + bottom) / 2 == pytest.approx(side / 2, abs=1.1)


def test_nothing_is_cropped_however_near_the_camera_is() -> None:
    near = FRAMING.model_copy(update={"radius": 0.6, "margin": 0.05})
    view = frame(cut_out_disc((80, 80), (40, 40), 20), (100, 100), near)
    left, top, right, bottom = object_box(view)
    assert min(left, top, 100 - right, 100 - bottom) >= 4
    assert right - left == pytest.approx(90, abs=2)


def test_a_square_of_the_right_size_is_kept_to_the_bit_as_it_is() -> None:
    pixels = np.dstack([noise((32, 32)), np.full((32, 32), 255, np.uint8)])
    as_is = FRAMING.model_copy(update={"prepare": "as_is"})
    np.testing.assert_array_equal(frame(pixels, (32, 32), as_is), pixels)


def test_a_wide_picture_as_it_is_gets_bars_and_is_not_cropped() -> None:
    pixels = np.full((20, 80, 4), (200, 200, 200, 255), np.uint8)
    view = frame(pixels, (40, 40), FRAMING.model_copy(update={"prepare": "as_is"}))
    assert (view[17:23, :, 3] > 250).all()
    assert (view[:12, :, 3] == 0).all()
    assert np.abs(view[17:23, :, :3].astype(int) - 200).max() <= 1


def test_hidden_colours_do_not_bleed_into_an_edge() -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :, 0] = 255  # red where nobody sees it
    pixels[:, 32:] = (0, 0, 255, 255)
    view = resample(pixels, (0.0, 0.0, 64.0, 64.0), (16, 16))
    assert (view[view[..., 3] > 128][:, 0] < 8).all()


@pytest.mark.parametrize(("radius", "side"), [(150, 200), (40, 80)])
def test_legacy_is_the_originals_preparation(radius: int, side: int) -> None:
    """Its steps, written out: white outside the mask, crop, `thumbnail`, paste into the middle of 256 white."""
    rgba = cut_out_disc((400, 500), (180, 230), radius)
    rgba[..., 3] //= 2
    rgba[..., 3][disc((400, 500), (180, 230), radius)] = 200
    picture = rgba[..., :3].copy()
    picture[rgba[..., 3] <= 127] = 255
    piece = Image.fromarray(picture[180 - radius : 180 + radius, 230 - radius : 230 + radius])
    piece.thumbnail([200, 200], Image.Resampling.LANCZOS)
    expected = Image.new("RGB", (256, 256), (255, 255, 255))
    expected.paste(piece, ((256 - piece.width) // 2, (256 - piece.height) // 2))
    view = frame_as_original(rgba, (256, 256))
    np.testing.assert_array_equal(view[..., :3], np.asarray(expected))
    assert (view[..., 3] == 255).all()
    rows = np.flatnonzero((view[..., 1] < 250).any(1))
    assert rows[-1] + 1 - rows[0] == pytest.approx(side, abs=1)
    assert frame(rgba, (64, 64), FRAMING.model_copy(update={"prepare": "legacy"})).shape == (64, 64, 4)


@pytest.mark.parametrize("side", [64, 96])
def test_a_picture_like_a_training_view_keeps_its_framing(side: int) -> None:
    rgba = cut_out_disc((192, 192), (100, 92), 60)
    np.testing.assert_array_equal(
        frame(rgba, (side, side), FRAMING),
        frame(rgba, (side, side), FRAMING.model_copy(update={"prepare": "as_is"})),
    )
    assert "its own framing is kept" in framing_words(rgba, FRAMING)


@pytest.mark.parametrize(
    ("hw", "centre", "radius"),
    [
        ((192, 192), (96, 130), 60),  # beside the middle
        ((192, 192), (96, 96), 30),  # too small
        ((192, 192), (96, 96), 94),  # too large
        ((192, 192), (96, 96), 97),  # cut off by the edges
        ((192, 256), (96, 128), 70),  # no square
    ],
)
def test_other_pictures_are_framed_anew(hw: tuple[int, int], centre: tuple[int, int], radius: int) -> None:
    rgba = cut_out_disc(hw, centre, radius)
    left, top, right, bottom = object_box(frame(rgba, (96, 96), FRAMING), 127)
    fraction = frame_fraction(FRAMING.lens(), FRAMING.radius, FRAMING.extent)
    assert max(right - left, bottom - top) == pytest.approx(fraction * 96, abs=2)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((48, 48), abs=1.1)
    assert framing_words(rgba, FRAMING).startswith("framed anew")


def test_what_framing_does_is_told_by_numbers() -> None:
    """A disc of 40 of 200 pixels becomes `fraction` of the frame."""
    fraction = frame_fraction(FRAMING.lens(), FRAMING.radius, FRAMING.extent)
    words = framing_words(cut_out_disc((200, 200), (100, 100), 20), FRAMING)
    assert f"made {fraction / 0.2:.2g} times as large" in words
