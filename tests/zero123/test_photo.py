"""Pictures from people: any shape, any trouble."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.errors import UsageError
from zero123.photo import load_photo


def saved(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_a_picture_of_the_right_size_is_kept_to_the_bit(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 4), np.uint8)
    pixels[..., 3] = 255
    np.testing.assert_array_equal(load_photo(saved(tmp_path / "a.png", pixels), (32, 32)), pixels)


def test_a_wide_picture_is_padded_with_transparency_and_not_cropped(tmp_path: Path) -> None:
    photo = load_photo(saved(tmp_path / "wide.png", np.full((20, 80, 3), 200, np.uint8)), (40, 40))
    assert photo.shape == (40, 40, 4)
    assert (photo[15:25, :, 3] == 255).all()
    assert (photo[:15, :, 3] == 0).all()
    assert (photo[15:25, :, :3] == 200).all()


def test_hidden_colours_do_not_bleed_into_an_edge(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :, 0] = 255  # red where nobody sees it
    pixels[:, 32:] = (0, 0, 255, 255)
    photo = load_photo(saved(tmp_path / "edge.png", pixels), (16, 16))
    visible = photo[..., 3] > 128
    assert (photo[visible][:, 0] < 8).all()


@pytest.mark.parametrize(
    ("name", "content"),
    [("text.png", b"not a picture"), ("cut.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), ("empty.jpg", b"")],
)
def test_what_is_no_picture_is_one_sentence_with_its_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=name):
        load_photo(tmp_path / name, (8, 8))


def test_a_truncated_picture_is_one_sentence(tmp_path: Path) -> None:
    path = saved(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UsageError, match=r"whole\.png"):
        load_photo(path, (8, 8))


def test_a_missing_picture_and_a_folder_are_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(UsageError, match=path.name):
            load_photo(path, (8, 8))


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (9000, 9000)).save(path)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(UsageError, match="megapixels"):
        load_photo(path, (8, 8))
