"""Binary FBX: whole trees pass, bombs and cut ones do not, pictures are looked for beside the model alone."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from base.outcomes import Outcome
from render.formats import fbx
from render.formats.fbx import MAGIC
from tests.render.found import companions
from tests.render.test_checks import answer, refusal


def node(name: bytes, *properties: bytes, children: bytes = b"", at: int) -> bytes:
    """A node that starts `at` bytes into the file."""
    body = b"".join(properties)
    end = at + 13 + len(name) + len(body) + len(children)
    return struct.pack("<IIIB", end, len(properties), len(body), len(name)) + name + body + children


def text(value: str) -> bytes:
    return b"S" + struct.pack("<I", len(value)) + value.encode()


def model(*properties: bytes, name: bytes = b"RelativeFilename") -> bytes:
    """A file of one node with these properties."""
    return MAGIC + struct.pack("<I", 7400) + node(name, *properties, at=27) + bytes(13)


def test_mutations_pass_or_are_refused(exported, tmp_path) -> None:
    sound = (exported / "x.fbx").read_bytes()
    path = tmp_path / "x.fbx"
    path.write_bytes(sound)
    assert companions(path) == []
    rng = np.random.default_rng(7)
    for _ in range(60):
        data = np.frombuffer(sound, np.uint8).copy()
        places = rng.integers(0, len(data), 1 + rng.integers(8))
        data[places] = rng.integers(0, 256, len(places))
        path.write_bytes(data[: rng.integers(len(data)) if rng.random() < 0.5 else None].tobytes())
        assert answer(path).startswith("expected")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9])
def test_a_truncated_file_is_corrupt(exported, tmp_path, share) -> None:
    data = (exported / "x.fbx").read_bytes()
    assert refusal(tmp_path / "x.fbx", data[: int(len(data) * share)]).outcome is Outcome.CORRUPT


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("maps\\wood.png", ["maps/wood.png"]),
        ("C:\\Users\\me\\stone.png", ["stone.png"]),
        ("..\\textures\\stone.png", ["stone.png"]),
        ("/home/me/stone.png", ["stone.png"]),
        ("../secret.png", []),
        ("/etc/hostname", []),
        ("link.png", []),
        ("http://127.0.0.1:9/x.png", []),
        ("", []),
    ],
)
def test_pictures_are_looked_for_beside_the_model_alone(tmp_path: Path, name: str, found: list[str]) -> None:
    folder = tmp_path / "in"
    (folder / "maps").mkdir(parents=True)
    for file in ("in/maps/wood.png", "in/stone.png", "secret.png"):
        (tmp_path / file).write_bytes(b"x")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "x.fbx").write_bytes(model(text(name)))
    assert companions(folder / "x.fbx") == found


@pytest.mark.parametrize(
    ("data", "outcome", "words"),
    [
        (b"; FBX 7.4.0 project file\n", Outcome.UNSUPPORTED, "as text"),
        (MAGIC + struct.pack("<I", 6100), Outcome.UNSUPPORTED, "got version 6100"),
        (model(b"d" + struct.pack("<III", 1 << 31, 0, 8) + bytes(8)), Outcome.CORRUPT, "an array of"),
        (model(b"d" + struct.pack("<III", 1, 1, 3) + b"abc"), Outcome.CORRUPT, "a packed array"),
        (model(b"x"), Outcome.CORRUPT, "kind of property"),
        (model(b"S" + struct.pack("<I", 1 << 30)), Outcome.CORRUPT, "to end at byte"),
        (model(text("a"))[:-13], Outcome.CORRUPT, "before the last node"),
        (model(text("a"))[:-13] + b"\xff" * 13, Outcome.CORRUPT, "a node inside"),
    ],
)
def test_what_no_reader_should_trust_is_refused(tmp_path: Path, data: bytes, outcome: Outcome, words: str) -> None:
    refused = refusal(tmp_path / "x.fbx", data)
    assert refused.outcome == outcome, refused
    assert words in str(refused), refused


def test_an_array_that_unpacks_to_more_than_it_says_is_refused(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(64 << 20))
    refused = refusal(tmp_path / "x.fbx", model(b"d" + struct.pack("<III", 2, 1, len(bomb)) + bomb))
    assert "an array of 16 bytes" in str(refused)


def test_arrays_that_unpack_to_too_much_in_all_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = zlib.compress(bytes(800))
    data = model(*[b"d" + struct.pack("<III", 100, 1, len(array)) + array] * 3)
    (tmp_path / "x.fbx").write_bytes(data)
    monkeypatch.setattr(fbx, "MAX_UNPACKED_BYTES", 2400)
    assert companions(tmp_path / "x.fbx") == []
    monkeypatch.setattr(fbx, "MAX_UNPACKED_BYTES", 2399)
    assert refusal(tmp_path / "x.fbx", data).outcome is Outcome.TOO_LARGE


def test_a_tree_too_deep_is_refused(tmp_path: Path) -> None:
    tree, at = b"", 27 + 200 * 14
    for _ in range(200):
        at -= 14
        tree = node(b"a", children=tree, at=at)
    assert "deep" in str(refusal(tmp_path / "x.fbx", MAGIC + struct.pack("<I", 7400) + tree + bytes(13)))
