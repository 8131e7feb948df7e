"""USD in its three forms: what it names, what it may not name, and what is no whole file."""

import struct
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from base.outcomes import Outcome
from render.formats import crate
from render.formats.refused import Refused
from tests.render.found import companions
from tests.render.test_checks import answer, refusal

HEAD = b"#usda 1.0\n"
KINDS = ["usda", "usdc", "usdz"]


def stored(**members: bytes) -> bytes:
    """A package of these members, `__` in a name standing for a dot."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as package:
        for name, data in members.items():
            package.writestr(name.replace("__", "."), data)
    return stream.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_mutations_pass_or_are_refused(exported, tmp_path, kind) -> None:
    sound = (exported / f"x.{kind}").read_bytes()
    path = tmp_path / f"x.{kind}"
    path.write_bytes(sound)
    assert companions(path) == []
    rng = np.random.default_rng(7)
    for _ in range(60):
        data = np.frombuffer(sound, np.uint8).copy()
        near = rng.integers(0, len(data), 1 + rng.integers(8))
        data[near] = rng.integers(0, 256, len(near))
        path.write_bytes(data[: rng.integers(len(data)) if rng.random() < 0.5 else None].tobytes())
        assert answer(path).startswith("expected")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.98])
def test_a_truncated_file_is_corrupt(exported, tmp_path, kind, share) -> None:
    data = (exported / f"x.{kind}").read_bytes()
    assert refusal(tmp_path / f"x.{kind}", data[: int(len(data) * share)]).outcome is Outcome.CORRUPT


def test_layers_name_layers_and_pictures_relative_to_themselves(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for name in ("parts/wood.png", "long @ name.png", "secret.png"):
        (tmp_path / name).write_bytes(b"x")
    text = (
        HEAD
        + b"""( subLayers = [@./parts/a.usda@] doc = "not @secret.png@" )
    def "a" { asset x = @@@long @ name.png@@@ # @secret.png@
    asset y = @gone.png@ string z = '''
    @secret.png@ \\''' { ''' }"""
    )
    (tmp_path / "parts" / "a.usda").write_bytes(HEAD + b'def "b" { asset x = @wood.png@ asset back = @../x.usda@ }')
    (tmp_path / "x.usda").write_bytes(text)
    assert companions(tmp_path / "x.usda") == ["long @ name.png", "parts/a.usda", "parts/wood.png"]


@pytest.mark.parametrize("name", ["../a.usda", "/etc/hostname", "parts/../../a.png", "http://127.0.0.1:9/a.usda"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_outside_the_folder_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    text = HEAD + f'def "a" (references = @{name}@) {{}}'.encode()
    data = {"usda": text, "usdc": small_crate(f"{name}\0"), "usdz": stored(a__usda=text)}[kind]
    if kind == "usdc" and name == "/etc/hostname":
        data = small_crate("/etc/hostname.png\0")  # without its end a word may be anything
    assert refusal(tmp_path / f"x.{kind}", data).outcome is Outcome.UNSUPPORTED


def test_a_layer_beside_that_leaves_the_folder_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "a.usda").write_bytes(HEAD + b'def "a" (payload = @../../b.usda@) {}')
    assert refusal(tmp_path / "x.usda", HEAD + b"(subLayers = [@a.usda@])").outcome is Outcome.UNSUPPORTED


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("usda", b"<html>", "a USD layer"),
        ("usda", HEAD + b'def "a" {', "in pairs"),
        ("usda", HEAD + b'string a = "x', "closed"),
        ("usda", HEAD + b'"""' + b'\\"""' * 100_000, "closed"),
        ("usda", HEAD + b'"' + b'\\"' * 100_000, "closed"),
        ("usdz", b"PK\3\4" + bytes(80), "package"),
        ("usdz", stored(a__txt=HEAD), "begins with a layer"),
        ("usdc", crate.MAGIC + bytes(8) + b"\xff" * 90, "table of contents"),
    ],
)
def test_what_is_no_usd_is_corrupt(tmp_path: Path, kind: str, data: bytes, words: str) -> None:
    refused = refusal(tmp_path / f"x.{kind}", data)
    assert refused.outcome is Outcome.CORRUPT
    assert words in str(refused)


def test_a_package_that_climbs_out_or_unpacks_is_refused(tmp_path: Path) -> None:
    climbing = stored(**{"a__usda": HEAD, "../b.png": b"x"})
    assert refusal(tmp_path / "x.usdz", climbing).outcome is Outcome.UNSUPPORTED
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("a.usda", HEAD + bytes(100_000))
    assert "stored as they are" in str(refusal(tmp_path / "x.usdz", stream.getvalue()))


def small_crate(words: str, version: tuple[int, int] = (0, 0)) -> bytes:
    """A crate of nothing but words, unpacked in the oldest version."""
    section = struct.pack("<QQ", words.count("\0"), len(words)) + words.encode()
    start = crate.BOOTSTRAP_BYTES
    contents = struct.pack("<Q", 1) + crate.SECTION.pack(b"TOKENS", start, len(section))
    head = crate.MAGIC + bytes(version) + bytes(6) + struct.pack("<q", start + len(section))
    return head.ljust(start, b"\0") + section + contents


def test_words_of_the_oldest_crates_are_read(tmp_path: Path) -> None:
    (tmp_path / "wood.png").write_bytes(b"x")
    (tmp_path / "x.usdc").write_bytes(small_crate("root\0./wood.png\0gone.png\0"))
    assert companions(tmp_path / "x.usdc") == ["wood.png"]


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        (b"\x30abc", b"abc"),
        (b"\x32abc\x03\x00\x00", b"abcabcabc"),  # three letters, then six from three back
        (b"\x1fa\x01\x00\x05\x00", b"a" * 25),  # overlapping: the repetition feeds itself
        (b"\xf0\x01" + b"0123456789abcdef", b"0123456789abcdef"),
    ],
)
def test_lz4_blocks_are_unpacked(packed: bytes, plain: bytes) -> None:
    assert crate.lz4_block(memoryview(packed), 100) == plain


def test_an_lz4_bomb_stops_at_its_limit() -> None:
    bomb = b"\x1fa\x01\x00" + b"\xff" * 100_000 + b"\x00"
    with pytest.raises(Refused, match="1000 bytes"):
        crate.lz4_block(memoryview(bomb), 1000)
