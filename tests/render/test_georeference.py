"""Models far from their origin come out as they would near to it, however they got there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from render.child import RenderChild
from tests.render.assets import BLUE, GREEN, RED, Asset, box, look

FAR = (4321234.56, 120.5, -512345.67)
PLACES = ([0.0, 0.0, 0.0], [0.4, 0.1, 0.05], [0.8, 0.2, 0.1])


def built(kind: str, offset: tuple[float, float, float]) -> Asset:
    """Three boxes side by side, all moved by `offset`."""
    asset, numbers = Asset(), []
    for place, colour in zip(PLACES, (RED, GREEN, BLUE), strict=True):
        points, triangles = box(0.3)
        at = [a + b for a, b in zip(place, offset, strict=True)] if kind == "each node" else place
        turned = {"rotation": [0.0, 0.6, 0.0, 0.8]} if kind == "under turned nodes" else {}
        if kind == "matrix":
            node = {"matrix": [2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, *at, 1]}
        else:
            node = {"translation": at, "scale": [2.0, 2.0, 2.0], **turned}
        numbers.append(asset.node(asset.mesh((points, triangles, asset.material(colour))), **node))
    if kind == "each node":
        return asset
    inner = asset.node(children=numbers, translation=[0.0, 0.0, 0.0] if kind != "two levels" else [0.5, 0.0, 0.0])
    asset.node(children=[inner], translation=list(offset))
    return asset


@pytest.mark.parametrize("kind", ["parent", "each node", "matrix", "two levels", "under turned nodes"])
def test_a_far_model_looks_as_a_near_one(kind: str, settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    near = look(blender, settings, built(kind, (0.0, 0.0, 0.0)).write(tmp_path / "near.glb"))
    far = look(blender, settings, built(kind, FAR).write(tmp_path / "far.glb"))
    for one, other in zip(near.pictures, far.pictures, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 0.1
    shift = np.array([FAR[0], -FAR[2], FAR[1]])
    was, now = (np.array(seen.result.normalisation["centre"]) for seen in (near, far))
    assert np.allclose(now - was, shift, rtol=0, atol=1e-5)
    assert far.result.normalisation["scale"] == pytest.approx(near.result.normalisation["scale"], rel=1e-6)


def test_points_that_are_far_themselves(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    """As exact as the file's 32 bits are."""
    offset = np.array([2.0**20, 0.0, -(2.0**18)])
    pictures = []
    for name, by in (("near", 0.0), ("far", 1.0)):
        asset = Asset()
        for place, colour in zip(PLACES, (RED, GREEN, BLUE), strict=True):
            points, triangles = box(0.25)
            asset.node(
                asset.mesh(
                    (points + np.round(np.array(place) * 8) / 8 + by * offset, triangles, asset.material(colour))
                )
            )
        pictures.append(look(blender, settings, asset.write(tmp_path / f"{name}.glb")).pictures)
    for one, other in zip(*pictures, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 0.1


def written(points: Any, kind: str, folder: Path, name: str) -> Path:
    """Three coloured boxes as a file of this kind, with all its digits."""
    _, triangles = box(0.3)
    colours = np.repeat([(230, 30, 30), (30, 230, 30), (30, 30, 230)], len(points) // 3, axis=0)
    faces = np.concatenate([np.asarray(triangles).reshape(-1, 3) + part * len(points) // 3 for part in range(3)])
    path = folder / f"{name}.{kind.split(maxsplit=1)[0]}"
    if kind == "obj":
        rows = [f"v {x!r} {y!r} {z!r}" for x, y, z in points.tolist()]
        path.write_text("\n".join([*rows, *(f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist())]) + "\n")
    elif kind == "stl":
        lines = ["solid boxes"]
        for corners in points[faces].tolist():
            vertices = " ".join(f"\nvertex {x!r} {y!r} {z!r}" for x, y, z in corners)
            lines.append(f"facet normal 0 0 0\nouter loop{vertices}\nendloop\nendfacet")
        path.write_text("\n".join([*lines, "endsolid boxes", ""]))
    else:
        path.write_bytes(_ply(points, colours, faces, is_text=kind == "ply text"))
    return path


def _ply(points: Any, colours: Any, faces: Any, *, is_text: bool) -> bytes:
    lines = ["ply", f"format {'ascii' if is_text else 'binary_little_endian'} 1.0", f"element vertex {len(points)}"]
    lines += [f"property double {axis}" for axis in "xyz"] + [
        f"property uchar {name}" for name in ("red", "green", "blue")
    ]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    head = "\n".join(lines).encode()
    if is_text:
        rows = [
            f"{x!r} {y!r} {z!r} {r} {g} {b}"
            for (x, y, z), (r, g, b) in zip(points.tolist(), colours.tolist(), strict=True)
        ]
        return head + "\n".join([*rows, *(f"3 {a} {b} {c}" for a, b, c in faces.tolist()), ""]).encode()
    vertices = np.zeros(len(points), [("p", "<f8", 3), ("c", "u1", 3)])
    vertices["p"], vertices["c"] = points, colours
    triangles = np.zeros(len(faces), [("n", "u1"), ("i", "<i4", 3)])
    triangles["n"], triangles["i"] = 3, faces
    return head + vertices.tobytes() + triangles.tobytes()


@pytest.mark.parametrize("kind", ["obj", "stl", "ply text", "ply binary"])
def test_far_text_and_doubles_look_as_near_ones(kind: str, settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    shape, _ = box(0.3)
    points = np.concatenate([np.asarray(shape, np.float64).reshape(-1, 3) + place for place in np.array(PLACES) * 2])
    shift = np.array(FAR)
    near = look(blender, settings, written(points, kind, tmp_path, "near"))
    far = look(blender, settings, written(points + shift, kind, tmp_path, "far"))
    for one, other in zip(near.pictures, far.pictures, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 0.1
    was, now = (np.array(seen.result.normalisation["centre"]) for seen in (near, far))
    assert np.allclose(now - was, shift if kind != "obj" else [shift[0], -shift[2], shift[1]], rtol=0, atol=1e-5)
