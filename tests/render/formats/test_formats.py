"""Files that Blender must never see, and those it may."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from base.outcomes import Outcome
from render.formats import glb, gltf
from render.formats.refused import Refused
from tests.render.conftest import EXAMPLES, write_glb
from tests.render.found import companions

ASSET = {"asset": {"version": "2.0"}}
BUFFER = {"buffers": [{"byteLength": 96}], "bufferViews": [{"buffer": 0, "byteLength": 96}]}


def refusal(path: Path) -> Refused:
    with pytest.raises(Refused) as caught:
        companions(path)
    assert str(caught.value).startswith(("expected", "could not"))
    return caught.value


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.glb")), ids=lambda path: path.stem)
def test_sound_models_pass_and_need_nothing_else(path: Path) -> None:
    assert companions(path) == []


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "an empty file"),
        (b"This is not a model", "b'This is not '"),
        (b"<!DOCTYPE html><html>", "b'<!DOCTYPE ht'"),
        (b"glTF\x02\0\0\0", "only its first 8 bytes"),
        (b"glTF\x02\0\0\0\x0c\0\0\0", "the end of the file"),
        (b"glTF\x02\0\0\0\x18\0\0\0\xff\0\0\0JSON{}  ", "inside the file's 24 bytes"),
        (b"glTF\x02\0\0\0\x18\0\0\0\x04\0\0\0BIN\0abcd", "first chunk to be JSON"),
    ],
)
def test_what_is_no_model_is_corrupt(tmp_path: Path, data: bytes, sentence: str) -> None:
    (tmp_path / "x.glb").write_bytes(data)
    refused = refusal(tmp_path / "x.glb")
    assert refused.outcome is Outcome.CORRUPT
    assert sentence in str(refused)


@pytest.mark.parametrize("share", [0.1, 0.6, 0.99])
def test_a_truncated_model_is_corrupt(tmp_path: Path, share: float) -> None:
    data = (EXAMPLES / "avocado.glb").read_bytes()
    (tmp_path / "x.glb").write_bytes(data[: int(len(data) * share)])
    refused = refusal(tmp_path / "x.glb")
    assert refused.outcome is Outcome.CORRUPT
    assert f"expected {len(data)} bytes" in str(refused)


def accessor(**changes: Any) -> dict[str, Any]:
    plain = {"bufferView": 0, "componentType": 5126, "type": "VEC3", "count": 8}
    return ASSET | BUFFER | {"accessors": [plain | changes]}


@pytest.mark.parametrize(
    ("document", "outcome"),
    [
        ({}, Outcome.CORRUPT),
        ([], Outcome.CORRUPT),
        ({"asset": {"version": "1.0"}}, Outcome.UNSUPPORTED),
        (ASSET | {"extensionsRequired": ["EXAMPLE_unknown"]}, Outcome.UNSUPPORTED),
        (accessor(count=9), Outcome.CORRUPT),
        (accessor(count=4294967295), Outcome.CORRUPT),
        (accessor(byteOffset=4), Outcome.CORRUPT),
        (accessor(count=-1), Outcome.CORRUPT),
        (accessor(count="8"), Outcome.CORRUPT),
        (accessor(bufferView=1), Outcome.CORRUPT),
        (accessor(componentType=1), Outcome.CORRUPT),
        (ASSET | {"accessors": [{"count": 1 << 40}]}, Outcome.CORRUPT),
        (ASSET | {"buffers": [{"byteLength": 97}]}, Outcome.CORRUPT),
        (ASSET | BUFFER | {"bufferViews": [{"buffer": 0, "byteLength": 97}]}, Outcome.CORRUPT),
        (ASSET | {"buffers": [{"byteLength": 9, "uri": "data:;base64,AAAA"}]}, Outcome.CORRUPT),
        (ASSET | {"nodes": [{"children": [1]}, {"children": [0]}]}, Outcome.CORRUPT),
        (ASSET | {"nodes": [{"children": [0]}]}, Outcome.CORRUPT),
        (ASSET | {"nodes": [{"children": [2]}, {"children": [2]}, {}]}, Outcome.CORRUPT),
        (ASSET | {"nodes": [{"children": [7]}]}, Outcome.CORRUPT),
        (ASSET | {"nodes": 3}, Outcome.CORRUPT),
    ],
)
def test_a_document_that_contradicts_itself_is_refused(tmp_path: Path, document: Any, outcome: Outcome) -> None:
    assert refusal(write_glb(tmp_path / "x.glb", document, b"\0" * 96)).outcome is outcome


def test_a_document_that_is_sound_passes(tmp_path: Path) -> None:
    tree = {"nodes": [{"children": [1, 2]}, {}, {"children": [3]}, {}]}
    assert companions(write_glb(tmp_path / "x.glb", accessor() | tree, b"\0" * 96)) == []


def test_a_long_chain_of_nodes_is_walked_once(tmp_path: Path) -> None:
    """Looked at from every node on it, this chain would take an hour."""
    count = 100_000
    assert (
        companions(write_glb(tmp_path / "x.glb", ASSET | {"nodes": [{"children": [1]}, {"children": [2]}, {}]})) == []
    )
    chain = [{"children": [number + 1]} for number in range(count)]
    refused = refusal(write_glb(tmp_path / "x.glb", ASSET | {"nodes": [*chain, {}]}))
    assert refused.outcome == Outcome.UNSUPPORTED
    assert "deep, got 100001" in str(refused)
    refused = refusal(write_glb(tmp_path / "x.glb", ASSET | {"nodes": [*chain, {"children": [count // 2]}]}))
    assert refused.outcome == Outcome.CORRUPT
    assert "to have a single parent" in str(refused)
    refused = refusal(write_glb(tmp_path / "x.glb", ASSET | {"nodes": [*chain, {"children": [0]}]}))
    assert refused.outcome == Outcome.CORRUPT
    assert "below itself" in str(refused)


def test_values_beyond_all_measure_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_glb(tmp_path / "x.glb", ASSET | {"extras": [[]] * 90})
    assert companions(path) == []
    monkeypatch.setattr(glb, "MAX_JSON_VALUES", 100)
    assert refusal(path).outcome is Outcome.TOO_LARGE


def test_json_too_deep_for_python_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "x.gltf").write_text("[" * 100_000)
    assert refusal(tmp_path / "x.gltf").outcome is Outcome.CORRUPT


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:9/x.bin", "file:///etc/hostname", "/etc/hostname", "../x.bin", "a/../../x.bin", "%2e%2e/x.bin",
     "..\\x.bin", "C:\\x.bin", "link.bin"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["buffers", "images"])
def test_an_address_or_a_path_out_of_the_folder_is_refused(tmp_path: Path, uri: str, kind: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "x.bin").write_bytes(b"\0" * 8)
    (folder / "link.bin").symlink_to(tmp_path / "x.bin")
    (folder / "x.gltf").write_text(json.dumps(ASSET | {kind: [{"byteLength": 8, "uri": uri}]}))
    refused = refusal(folder / "x.gltf")
    assert refused.outcome is Outcome.UNSUPPORTED
    assert "beside the model" in str(refused)


def test_files_beside_the_model_are_named(tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    for name in ("x y.bin", "maps/a.png"):
        (tmp_path / name).write_bytes(b"\0" * 8)
    images = [{"uri": "maps/a.png"}, {"uri": "gone.png"}, {"uri": "data:image/png;base64,AAAA"}]
    document = ASSET | {"buffers": [{"byteLength": 8, "uri": "x%20y.bin"}], "images": images}
    (tmp_path / "x.gltf").write_text(json.dumps(document))
    assert companions(tmp_path / "x.gltf") == ["maps/a.png", "x y.bin"]


def test_a_missing_buffer_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.gltf").write_text(json.dumps(ASSET | {"buffers": [{"byteLength": 8, "uri": "gone.bin"}]}))
    refused = refusal(tmp_path / "x.gltf")
    assert refused.outcome is Outcome.CORRUPT
    assert "gone.bin" in str(refused)


TRIANGLES = np.array([0, 1, 2, 2, 1, 3], "<u2").tobytes()
PLACES = np.zeros((4, 3), "<f4").tobytes()


def triangles(vertices: int, uri: str | None, **view: Any) -> dict[str, Any]:
    """Two triangles of four vertices, of which the document owns up to `vertices`."""
    buffer = {"byteLength": 60} | ({} if uri is None else {"uri": uri})
    return ASSET | {
        "buffers": [buffer],
        "bufferViews": [{"buffer": 0, "byteLength": 12} | view, {"buffer": 0, "byteOffset": 12, "byteLength": 48}],
        "accessors": [
            {"bufferView": 0, "componentType": 5123, "type": "SCALAR", "count": 6},
            {"bufferView": 1, "componentType": 5126, "type": "VEC3", "count": vertices},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 1}, "indices": 0}]}],
    }


@pytest.mark.parametrize("where", ["chunk", "text", "file"])
def test_faces_of_vertices_that_are_not_there_are_corrupt(tmp_path: Path, where: str) -> None:
    data = TRIANGLES + PLACES
    (tmp_path / "x.bin").write_bytes(data)
    text = f"data:application/octet-stream;base64,{base64.b64encode(data).decode()}"
    uri = {"chunk": None, "text": text, "file": "x.bin"}[where]
    for vertices in (4, 3):
        if where == "chunk":
            path = write_glb(tmp_path / "x.glb", triangles(vertices, uri), data)
        else:
            path = tmp_path / "x.gltf"
            path.write_text(json.dumps(triangles(vertices, uri)))
        if vertices == 4:
            assert companions(path) == (["x.bin"] if where == "file" else [])
        else:
            assert "expected indices below 3 in mesh 0, got 3" in str(refusal(path))


def test_many_meshes_of_the_same_bytes_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = triangles(4, None)
    document["accessors"] += [document["accessors"][0]] * 9
    document["meshes"] = [{"primitives": [{"attributes": {"POSITION": 1}, "indices": k}]} for k in (0, *range(2, 11))]
    path = write_glb(tmp_path / "x.glb", document, TRIANGLES + PLACES)
    monkeypatch.setattr(gltf, "MAX_INDICES", 60)
    assert companions(path) == []
    monkeypatch.setattr(gltf, "MAX_INDICES", 59)
    assert refusal(path).outcome is Outcome.TOO_LARGE


def test_a_stride_of_zero_means_one_after_the_other(tmp_path: Path) -> None:
    path = write_glb(tmp_path / "x.glb", triangles(4, None, byteStride=0), TRIANGLES + PLACES)
    assert companions(path) == []
    assert "below 3" in str(refusal(write_glb(path, triangles(3, None, byteStride=0), TRIANGLES + PLACES)))


@pytest.mark.parametrize(("mode", "sound"), [(4, True), (5, False), (6, False)])
def test_restart_index_is_no_vertex(tmp_path: Path, mode: int, sound: bool) -> None:
    document = triangles(4, None)
    document["buffers"][0]["byteLength"] = 12 + 12 * 65536
    document["bufferViews"][1]["byteLength"] = 12 * 65536
    document["accessors"][1]["count"] = 65536
    document["meshes"][0]["primitives"][0]["mode"] = mode
    data = np.array([0, 1, 2, 65535, 2, 1], "<u2").tobytes() + bytes(12 * 65536)
    path = write_glb(tmp_path / "x.glb", document, data)
    if sound:
        assert companions(path) == []
    else:
        assert "expected indices below 65535 in mesh 0, got 65535" in str(refusal(path))


@pytest.mark.parametrize("kind", ["SCALAR", "VEC2"])
def test_positions_that_are_no_points_are_corrupt(tmp_path: Path, kind: str) -> None:
    document = triangles(4, None)
    document["accessors"][1]["type"] = kind
    refused = refusal(write_glb(tmp_path / "x.glb", document, TRIANGLES + PLACES))
    assert refused.outcome == Outcome.CORRUPT, refused
    assert f"got {kind}" in str(refused), refused


def test_a_file_beside_the_model_that_ends_early_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes((TRIANGLES + PLACES)[:-1])
    (tmp_path / "x.gltf").write_text(json.dumps(triangles(4, "x.bin")))
    assert "expected 60 bytes in buffer 0, got 59" in str(refusal(tmp_path / "x.gltf"))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (triangles(4, None, byteStride=4, byteLength=24), "consecutive indices"),
        (triangles(4, "data:;base64," + "*" * 80), "expected 60 bytes in buffer 0, got 0"),
        (triangles(4, "data:;base64," + "A" * 81), "base64 in a data URI"),
    ],
)
def test_indices_that_cannot_be_read_are_corrupt(tmp_path: Path, document: dict[str, Any], words: str) -> None:
    refused = refusal(write_glb(tmp_path / "x.glb", document, TRIANGLES + PLACES))
    assert refused.outcome == Outcome.CORRUPT, refused
    assert words in str(refused), refused


def test_unsupported_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "x.step").write_text("ISO-10303-21;")
    assert refusal(tmp_path / "x.step").outcome is Outcome.UNSUPPORTED
    assert refusal(tmp_path / "x.glb").outcome is Outcome.MISSING
