"""From a picture file to the model's input view, and what is told on the way."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.errors import Failure, UsageError
from photo.prepare import prepare
from photo.shown import CELL, FRAME, OUTLINE, preparation_picture
from tests.photo.pictures import cut_out_disc, disc, noise, saved, settings, smooth

SETTINGS = settings()
HW = (120, 160)


def disc_photo(path: Path) -> Path:
    """A red disc before a grey wall."""
    pixels = np.full((*HW, 3), 170, np.uint8)
    pixels[disc(HW, (60, 70), 30)] = (200, 40, 40)
    return saved(path, pixels)


def test_a_cut_out_is_taken_by_its_alpha(tmp_path: Path) -> None:
    rgba = cut_out_disc(HW, (60, 70), 30)
    prepared = prepare(saved(tmp_path / "a.png", rgba), SETTINGS)
    assert (prepared.method, prepared.warnings) == ("alpha", ())
    np.testing.assert_array_equal(prepared.cut_out, rgba)


def test_an_opaque_photo_is_cut_out_without_weights(tmp_path: Path) -> None:
    prepared = prepare(disc_photo(tmp_path / "a.png"), SETTINGS)
    inside, expected = prepared.cut_out[..., 3] > 127, disc(HW, (60, 70), 30)
    assert prepared.method == "border"
    assert (inside & expected).sum() / (inside | expected).sum() > 0.95


def test_a_mask_decides(tmp_path: Path) -> None:
    """White on the object, at another size of the same shape; the alpha of the mask where it has some."""
    photo = saved(tmp_path / "a.png", noise(HW))
    expected = disc(HW, (60, 70), 30)
    white = saved(tmp_path / "m.png", (expected * 255).astype(np.uint8))
    clear = saved(tmp_path / "c.png", cut_out_disc(HW, (60, 70), 30))
    half = saved(tmp_path / "h.png", np.asarray(Image.open(white).resize((80, 60))))
    for mask in (white, clear, half):
        prepared = prepare(photo, SETTINGS, mask=mask)
        inside = prepared.cut_out[..., 3] > 127
        assert (inside & expected).sum() / (inside | expected).sum() > 0.97
        assert prepared.method == f"mask {mask.name}"


def test_a_mask_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    photo = saved(tmp_path / "a.png", noise(HW))
    black, square = (
        saved(tmp_path / "b.png", np.zeros(HW, np.uint8)),
        saved(tmp_path / "s.png", np.full((9, 9), 255, np.uint8)),
    )
    for mask, words in (
        (black, "without an object"),
        (square, "shape, 160 × 120, got 9 × 9"),
        (tmp_path / "no", "No such"),
    ):
        with pytest.raises(UsageError, match=words):
            prepare(photo, SETTINGS, mask=mask)


def test_a_picture_without_an_object_is_told_with_what_helps(tmp_path: Path) -> None:
    flat = saved(tmp_path / "wall.png", np.full((*HW, 3), 170, np.uint8))
    with pytest.raises(
        Failure, match=r"wall\.png: expected one object before a background, got .*--mask.*--assume-cut-out"
    ):
        prepare(flat, SETTINGS)
    assert (prepare(flat, SETTINGS, assume_cut_out=True).cut_out[..., 3] == 255).all()


def test_an_object_that_the_edge_cuts_is_told(tmp_path: Path) -> None:
    rgba = cut_out_disc(HW, (110, 10), 30)
    prepared = prepare(saved(tmp_path / "a.png", rgba), SETTINGS)
    assert prepared.warnings == ("the left and bottom edge of the photo cuts the object off",)
    assert prepared.view((64, 64)).shape == (64, 64, 4)


def test_facts_are_json_and_name_the_photo_by_its_bytes(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", cut_out_disc(HW, (60, 70), 30))
    facts = prepare(path, SETTINGS).facts()
    assert facts["photo"] == "a.png"
    assert len(str(facts["photo_sha256"])) == 64
    assert facts["cut_out"] == "alpha"
    assert (facts["prepare"], str(facts["framing"])[:11]) == ("framed", "framed anew")
    assert facts["warnings"] == []


def test_preparation_picture_shows_outline_frame_and_view(tmp_path: Path) -> None:
    prepared = prepare(disc_photo(tmp_path / "a.png"), SETTINGS)
    sheet = np.asarray(preparation_picture(prepared, (64, 64)))
    photo, view = sheet[:, :CELL], sheet[:, -CELL:]
    assert (photo == OUTLINE).all(-1).sum() > 200
    assert (photo == FRAME).all(-1).sum() > 200
    assert np.abs(view[view.shape[0] // 2 + 15, CELL // 2].astype(int) - (200, 40, 40)).max() < 12
    assert (view[-4, 4] == 255).all()


def test_legacy_has_no_background_to_reconstruct_from(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", cut_out_disc(HW, (60, 70), 30))
    assert prepare(path, SETTINGS).has_background
    assert not prepare(path, settings(framing={"prepare": "legacy"})).has_background
    assert not prepare(saved(tmp_path / "b.png", smooth(HW)), SETTINGS, assume_cut_out=True).has_background
