import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from report.contact_sheet import contact_sheet, sheet_grid
from report.images import checker, composite, image_uri, shrink
from report.pages.demo_pictures import BEYOND, MISSED, overlay
from report.turntable import turntable_webp
from tests.report.facts import image, mesh


def decoded(uri: str) -> np.ndarray:
    head, body = uri.split(",", 1)
    assert head.startswith("data:image/")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body, validate=True))))


@pytest.mark.parametrize("kind", ["webp", "png"])
@pytest.mark.parametrize("channels", [3, 4])
def test_data_uri_decodes_to_the_same_pixels(kind: str, channels: int) -> None:
    pixels = image(3, channels)
    np.testing.assert_array_equal(decoded(image_uri(pixels, kind)), pixels)


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_image_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected a uint8 image"):
        image_uri(bad)


def test_over_is_the_exact_mean_weighted_by_alpha() -> None:
    pixels = image(5)
    alpha = pixels[..., 3:] / 255.0
    np.testing.assert_allclose(composite(pixels), pixels[..., :3] * alpha + 255 * (1 - alpha), atol=0.5 + 1e-9)
    clear = np.zeros((16, 24, 4), np.uint8)
    np.testing.assert_array_equal(composite(clear, checker((16, 24))), checker((16, 24)))


def test_fitted_keeps_hidden_colours_out_and_never_enlarges() -> None:
    pixels = np.zeros((40, 20, 4), np.uint8)
    pixels[..., 0] = 255
    pixels[:, :10] = (0, 0, 255, 255)
    small = shrink(pixels, 10)
    assert small.shape == (10, 5, 4)
    assert small[small[..., 3] > 8][:, 0].max() < 32
    assert shrink(pixels, 400) is pixels


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 14), columns=st.integers(1, 7), height=st.integers(1, 9), width=st.integers(1, 9),
    gap=st.integers(0, 5), label=st.integers(0, 6),
)  # fmt: skip
def test_grid_cells_fill_the_sheet_and_never_touch(count, columns, height, width, gap, label) -> None:
    grid = sheet_grid(count, (height, width), columns=columns, gap=gap, label_px=label)
    used = np.zeros(grid.hw, int)
    for index in range(count):
        row, column = grid.corner(index)
        assert row + height + label <= grid.hw[0]
        assert column + width <= grid.hw[1]
        used[row : row + height + label, column : column + width] += 1
    assert used.max() == 1
    assert used[0, 0] == 1
    assert used.any(axis=1)[-1]
    assert used.any(axis=0)[-1]


def test_sheet_holds_every_image_at_its_place() -> None:
    images = [image(seed) for seed in range(5)]
    sheet = np.asarray(contact_sheet(images, columns=3))
    grid = sheet_grid(5, images[0].shape[:2], columns=3)
    assert sheet.shape == (*grid.hw, 4)
    for index, pixels in enumerate(images):
        row, column = grid.corner(index)
        np.testing.assert_array_equal(sheet[row : row + 24, column : column + 24], pixels)
    row, column = grid.corner(5)
    assert not sheet[row : row + 24, column : column + 24].any()


def test_labels_stand_below_and_long_or_hostile_ones_stay_inside() -> None:
    images = [image(0), image(1)]
    sheet = np.asarray(contact_sheet(images, labels=["a" * 500 + "\x1b\n", ""], columns=2, cell_px=48, marked={0}))
    assert sheet[48:, :48, 3].any()
    assert not sheet[:, 48:56].any()
    assert not sheet[48:, 56:].any()
    with pytest.raises(ValueError, match="expected 2 labels"):
        contact_sheet(images, labels=["a"])
    with pytest.raises(ValueError, match="at least 1 image"):
        contact_sheet([])


def test_turntable_plays_every_frame_for_its_time() -> None:
    frames = [np.full((16, 20, 4), (30 * step, 0, 200, 255), np.uint8) for step in range(6)]
    movie = Image.open(io.BytesIO(turntable_webp(frames, seconds=1.2)))
    assert movie.n_frames == 6
    assert movie.size == (20, 16)
    assert movie.info["loop"] == 0
    total = 0
    for index in range(6):
        movie.seek(index)
        movie.load()
        total += movie.info["duration"]
        assert np.abs(np.asarray(movie.convert("RGBA"), int) - frames[index]).max() < 12
    assert total == 1200
    with pytest.raises(ValueError, match="at least 1 frame"):
        turntable_webp([], seconds=1)


def test_overlay_paints_what_is_missed_and_what_goes_beyond() -> None:
    facts = mesh()
    facts.input[...] = (10, 10, 10, 0)
    facts.input[4:12, 4:12, 3] = 255
    picture = overlay(facts)[1::3, 1::3].astype(int)
    assert np.abs(picture[5, 5] - MISSED).max() < 60
    assert np.abs(picture[15, 15] - BEYOND).max() < 60
    np.testing.assert_array_equal(picture[9, 9], (10, 10, 10))
    np.testing.assert_array_equal(picture[0, 0], (255, 255, 255))
