"""Numbers that name entries which do not exist."""

from collections.abc import Callable
from typing import Any

import pytest

from render.formats.gltf_links import check_links
from render.formats.refused import Refused

Change = Callable[[dict[str, Any]], object]


def document() -> dict[str, Any]:
    return {
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "skin": 0, "camera": 0}, {}],
        "skins": [{"joints": [1], "inverseBindMatrices": 0}],
        "cameras": [{}],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0}, "indices": 0, "targets": [{"POSITION": 0}], "material": 0}]}
        ],
        "materials": [
            {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}},
            {"emissiveTexture": {"index": 9}},  # no mesh uses it
        ],
        "textures": [{"source": 0, "sampler": 0}, {"source": 9}],
        "samplers": [{}],
        "images": [{"bufferView": 0}],
        "bufferViews": [{}],
        "accessors": [{}],
        "animations": [
            {"samplers": [{"input": 0, "output": 0}], "channels": [{"sampler": 0, "target": {"node": 1}}]},
            {"samplers": [{"input": 0, "output": 0}], "channels": [{"sampler": 0, "target": {"path": "pointer"}}]},
        ],
    }


WRONG: dict[str, tuple[Change, str]] = {
    "scene": (lambda d: d.update(scene=1), "the file's scene to name one of 1 scenes, got 1"),
    "a scene's node": (lambda d: d["scenes"][0].update(nodes=[0, 2]), "scene 0 to name one of 2 nodes, got 2"),
    "mesh": (lambda d: d["nodes"][0].update(mesh=1), "node 0 to name one of 1 meshes, got 1"),
    "skin": (lambda d: d["nodes"][0].update(skin=True), "node 0 to name one of 1 skins, got True"),
    "camera": (lambda d: d["nodes"][1].update(camera="0"), "node 1 to name one of 1 cameras, got 0"),
    "joint": (lambda d: d["skins"][0].update(joints=[1, -1]), "skin 0 to name one of 2 nodes, got -1"),
    "bind matrices": (lambda d: d["skins"][0].update(inverseBindMatrices=3), "skin 0 to name one of 1 accessors"),
    "vertices": (lambda d: primitive(d)["attributes"].update(COLOR_0=1), "mesh 0 to name one of 1 accessors, got 1"),
    "indices": (lambda d: primitive(d).update(indices=-1), "mesh 0 to name one of 1 accessors, got -1"),
    "shape": (lambda d: primitive(d)["targets"][0].update(NORMAL=5), "mesh 0 to name one of 1 accessors, got 5"),
    "material": (lambda d: primitive(d).update(material=2), "mesh 0 to name one of 2 materials, got 2"),
    "texture": (lambda d: primitive(d).update(material=1), "material 1 to name one of 2 textures, got 9"),
    "sampler": (lambda d: d["textures"][0].update(sampler=1), "texture 0 to name one of 1 samplers, got 1"),
    "image": (lambda d: d["textures"][0].update(source=-1), "texture 0 to name one of 1 images, got -1"),
    "image's data": (lambda d: d["images"][0].update(bufferView=1), "image 0 to name one of 1 buffer views, got 1"),
    "times": (lambda d: d["animations"][0]["samplers"][0].update(input=1), "animation 0 to name one of 1 accessors"),
    "channel": (lambda d: d["animations"][0]["channels"][0].update(sampler=1), "animation 0 to name one of 1 samplers"),
    "animated": (lambda d: d["animations"][0]["channels"][0].update(target={"node": 2}), "name one of 2 nodes, got 2"),
}


def primitive(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["meshes"][0]["primitives"][0]
    return found


def test_a_sound_document_passes_whatever_its_unused_parts_name() -> None:
    check_links(document())


@pytest.mark.parametrize("name", WRONG)
def test_a_missing_entry_is_named(name: str) -> None:
    change, sentence = WRONG[name]
    changed = document()
    change(changed)
    with pytest.raises(Refused, match=sentence):
        check_links(changed)
