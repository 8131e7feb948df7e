"""Pictures from people: every kind of file, and whatever is none."""

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from base.errors import UsageError
from photo.read import read_photo
from tests.photo.pictures import file_bytes, noise, saved, settings, smooth

LIMITS = settings().limits
CASES = Path(__file__).parents[3] / "shared" / "cases" / "photos"


def read(path: Path) -> np.ndarray:
    return read_photo(path, LIMITS).rgba


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("TIFF", {}), ("BMP", {}), ("WEBP", {"lossless": True})])
def test_lossless_kinds_are_read_to_the_bit(tmp_path: Path, kind: str, options: dict[str, bool]) -> None:
    pixels = noise((20, 30))
    path = tmp_path / "a.picture"  # the name does not decide
    path.write_bytes(file_bytes(Image.fromarray(pixels), kind, **options))
    np.testing.assert_array_equal(read(path)[..., :3], pixels)


@pytest.mark.parametrize("kind", ["JPEG", "AVIF", "WEBP", "GIF"])
def test_lossy_kinds_are_read_closely(tmp_path: Path, kind: str) -> None:
    pixels = smooth((64, 96))
    path = tmp_path / "a.picture"
    path.write_bytes(file_bytes(Image.fromarray(pixels), kind))
    assert np.abs(read(path)[..., :3].astype(int) - pixels).mean() < 6


def test_heic_is_read_closely(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    pixels = smooth((64, 96))
    path = tmp_path / "phone.heic"
    heif.from_pillow(Image.fromarray(pixels)).save(path)
    assert np.abs(read(path)[..., :3].astype(int) - pixels).mean() < 4


def test_heic_without_package_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "phone.heic"
    path.write_bytes(struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"heic", 0, b"mif1", b"heic") + b"rest")
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    with pytest.raises(UsageError, match=r"phone\.heic.*pip install -c constraints\.txt -e '\.\[heic\]'"):
        read(path)


@pytest.mark.parametrize("mode", ["grey", "rgb", "rgba"])
def test_sixteen_bits_are_divided_by_257(tmp_path: Path, mode: str) -> None:
    """Pillow reads grey ones as such and clips them in conversions; colour ones it reads by their high bytes."""
    levels = noise((12, 12), {"grey": 1, "rgb": 3, "rgba": 4}[mode])
    path = tmp_path / "deep.png"
    path.write_bytes(png16(levels.astype(np.uint16) * 257))
    expected = np.repeat(levels, 3, axis=2) if mode == "grey" else levels[..., :3]
    np.testing.assert_array_equal(read(path)[..., :3], expected)


def png16(values: np.ndarray) -> bytes:
    """A PNG file of 16 bits a channel, written by hand: Pillow writes grey ones alone."""
    height, width, channels = values.shape
    colour_type = {1: 0, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


@pytest.mark.skipif(not CASES.exists(), reason="the shared cases are not here")
def test_the_reported_grey_picture_is_not_white() -> None:
    rgba = read(CASES / "gray16.png")
    assert rgba[..., :3].min() < 100
    assert rgba[..., :3].mean() < 250


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_phone_picture_is_upright(tmp_path: Path, orientation: int) -> None:
    picture = Image.fromarray(smooth((48, 80)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "phone.jpg"
    path.write_bytes(file_bytes(picture, "JPEG", exif=exif, quality=95))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    shape = (48, 80) if orientation < 5 else (80, 48)
    assert read(path).shape[:2] == shape
    assert np.abs(read(path)[..., :3].astype(int) - expected).max() <= 1


def test_palettes_greys_and_interlace_are_read(tmp_path: Path) -> None:
    picture = Image.fromarray(smooth((16, 16)))
    palette = picture.convert("P", palette=Image.Palette.ADAPTIVE)
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(read(saved(tmp_path / "p.png", np.asarray(expected)))[..., :3], expected)
    palette.save(tmp_path / "palette.png", transparency=int(np.asarray(palette)[0, 0]))
    rgba = read(tmp_path / "palette.png")
    assert rgba[0, 0, 3] == 0
    np.testing.assert_array_equal(rgba[rgba[..., 3] > 0][:, :3], expected[rgba[..., 3] > 0])
    for mode in ("L", "LA", "1"):
        picture.convert(mode).save(tmp_path / f"{mode}.png")
        np.testing.assert_array_equal(
            read(tmp_path / f"{mode}.png"), np.asarray(picture.convert(mode).convert("RGBA")), err_msg=mode
        )


def test_a_printers_picture_has_its_colours(tmp_path: Path) -> None:
    flat = Image.new("RGB", (32, 32), (200, 60, 40)).convert("CMYK")
    path = tmp_path / "print.jpg"
    path.write_bytes(file_bytes(flat, "JPEG", quality=95))
    assert np.abs(read(path)[16, 16, :3].astype(int) - (200, 60, 40)).max() < 6


def test_a_colour_profile_is_applied(tmp_path: Path) -> None:
    """sRGB's own changes nothing; a Lab picture becomes RGB, up to what 8 bits of Lab can hold."""
    lab = ImageCms.createProfile("LAB")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    rgb = Image.fromarray(smooth((16, 16)))
    plain, tagged = tmp_path / "plain.png", tmp_path / "tagged.png"
    rgb.save(plain)
    rgb.save(tagged, icc_profile=profile.tobytes())
    np.testing.assert_allclose(read(tagged)[..., :3], read(plain)[..., :3], atol=2)
    in_lab = ImageCms.profileToProfile(rgb, profile, ImageCms.ImageCmsProfile(lab), outputMode="LAB")
    assert in_lab is not None
    in_lab.save(tmp_path / "lab.tiff", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    np.testing.assert_allclose(read(tmp_path / "lab.tiff")[..., :3], smooth((16, 16)), atol=12)


def test_a_wide_profile_keeps_alpha_and_changes_colours(tmp_path: Path) -> None:
    """A profile with a gamma of 1 makes stored numbers brighter in sRGB."""
    linear = linear_profile()
    rgba = np.dstack([smooth((16, 16)), np.full((16, 16), 77, np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "linear.png", icc_profile=linear)
    shown = read(tmp_path / "linear.png")
    assert (shown[..., 3] == 77).all()
    assert shown[..., :3].mean() > rgba[..., :3].mean() + 30


def linear_profile() -> bytes:
    """sRGB's profile with tone curves of gamma 1."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for start in range(132, 132 + 12 * struct.unpack_from(">I", data, 128)[0], 12):
        name, offset, size = struct.unpack_from(">4sII", data, start)
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            data[offset : offset + size] = (b"curv" + bytes(8)).ljust(size, b"\0")
    return bytes(data)


def test_a_damaged_profile_is_passed_over(tmp_path: Path) -> None:
    pixels = smooth((16, 16))
    Image.fromarray(pixels).save(tmp_path / "odd.png", icc_profile=b"no profile at all")
    np.testing.assert_array_equal(read(tmp_path / "odd.png")[..., :3], pixels)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame_and_says_so(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    path = tmp_path / "moving"
    path.write_bytes(file_bytes(frames[0], kind, save_all=True, append_images=frames[1:]))
    photo = read_photo(path, LIMITS)
    assert np.abs(photo.rgba[8, 8, :3].astype(int) - (255, 0, 0)).max() < 8
    assert photo.notes == ("the first of 3 frames is used",)


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_bytes(Image.fromarray(noise((16, 16))), "PNG")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    photo = read_photo("-", LIMITS)
    assert photo.name == "standard input"
    np.testing.assert_array_equal(photo.rgba[..., :3], noise((16, 16)))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.png", b"not a picture"),
        ("cut.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("empty.jpg", b""),
        ("a.svg", b"<svg/>"),
        ("page.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
    ],
)
def test_what_is_no_picture_is_one_sentence_with_its_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=name) as raised:
        read(tmp_path / name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF", "BMP"])
def test_a_truncated_picture_is_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"whole.{kind.lower()}"
    data = file_bytes(Image.fromarray(noise((64, 64))), kind)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UsageError, match=r"whole\."):
        read(path)


def test_missing_files_folders_and_addresses_are_told_apart(tmp_path: Path) -> None:
    for source, words in (
        (str(tmp_path / "none.png"), "none.png.*No such file"),
        (str(tmp_path), "got a folder"),
        ("https://example.com/a.png", "got a URL"),
        ("s3://bucket/a.png", "got a URL"),
    ):
        with pytest.raises(UsageError, match=words):
            read_photo(source, LIMITS)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (9000, 9000)).save(path)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(UsageError, match="megapixels"):
        read(path)


def test_a_large_file_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = saved(tmp_path / "large.bmp", noise((600, 600)))
    with pytest.raises(UsageError, match="1 MiB"):
        read_photo(path, LIMITS.model_copy(update={"megabytes": 1}))


def test_a_tiny_picture_and_an_invisible_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="got 1 × 1"):
        read(saved(tmp_path / "dot.png", noise((1, 1))))
    with pytest.raises(UsageError, match="fully transparent"):
        read(saved(tmp_path / "clear.png", np.zeros((32, 32, 4), np.uint8)))
