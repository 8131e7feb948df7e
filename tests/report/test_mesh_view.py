import base64
import re

import numpy as np
import pytest
from markupsafe import Markup

from report.mesh_view import mesh_buffers, mesh_view, script
from report.simplify import coloured_mesh, simplify
from tests.report.facts import HOSTILE, tetrahedron


def grid(side: int):
    """A bumpy square of side² vertices."""
    rows, columns = np.indices((side, side)).reshape(2, -1)
    vertices = np.stack([columns / side, rows / side, 0.1 * np.sin(rows / 9.0)], axis=1)
    first = (rows * side + columns).reshape(side, side)[:-1, :-1].ravel()
    faces = np.concatenate(
        [np.stack([first, first + 1, first + side], 1), np.stack([first + 1, first + side + 1, first + side], 1)]
    )
    colours = np.stack([rows % 256, columns % 256, rows * 0], axis=1).astype(np.uint8)
    return coloured_mesh(vertices, faces, colours)


def test_buffers_in_the_page_give_the_mesh_back() -> None:
    vertices, faces, colours = tetrahedron()
    page = mesh_view(vertices, faces, colours, label=HOSTILE, fallback=Markup("<p>none</p>"))
    body = re.search(r'<script type="application/octet-stream">([^<]*)</script>', page)
    assert body is not None
    data = base64.b64decode(body[1], validate=True)
    assert len(data) == 4 * 6 + 4 * 6 + 4 * 3
    positions = np.frombuffer(data, "<u2", 12).reshape(4, 3)
    np.testing.assert_array_equal(np.frombuffer(data, "<u2", 12, 24).reshape(4, 3), faces)
    np.testing.assert_array_equal(np.frombuffer(data, np.uint8, 12, 48).reshape(4, 3), colours)
    np.testing.assert_allclose(positions / 65535 - 0.5, vertices, atol=0.5 / 65535 + 1e-12)
    assert 'data-vertices="4" data-faces="4"' in page
    assert "<script>alert" not in page


def test_quantising_is_within_half_a_step() -> None:
    mesh = grid(40)
    buffers = mesh_buffers(mesh)
    back = buffers.low + buffers.positions * buffers.step
    assert np.abs(back - mesh.vertices).max() <= buffers.step * 0.5 + 1e-12


def test_large_meshes_are_made_smaller_and_stay_where_they_were() -> None:
    mesh = grid(120)
    small = simplify(mesh, max_faces=6000, max_vertices=65535)
    assert 2000 < len(small.faces) <= 6000
    assert small.faces.max() < len(small.vertices)
    np.testing.assert_allclose(small.vertices.min(0), mesh.vertices.min(0), atol=0.03)
    np.testing.assert_allclose(small.vertices.max(0), mesh.vertices.max(0), atol=0.03)
    assert simplify(mesh, max_faces=60_000, max_vertices=65535) is mesh


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vertices": np.full((4, 3), np.nan)}, "finite vertices"),
        ({"faces": np.array([[0, 1, 4]])}, "face indices"),
        ({"faces": np.array([[0, 1, -1]])}, "face indices"),
        ({"faces": np.zeros((0, 3), int)}, "faces"),
        ({"colours": np.zeros((3, 3), np.uint8)}, "colours"),
    ],
)
def test_what_is_no_mesh_is_refused(change: dict, message: str) -> None:
    vertices, faces, colours = tetrahedron()
    values = {"vertices": vertices, "faces": faces, "colours": colours} | change
    with pytest.raises(ValueError, match=message):
        mesh_view(**values, label="x", fallback=Markup(""))


def test_script_fetches_nothing_and_cannot_end_its_element() -> None:
    source = script()
    for word in ("</script", "fetch(", "import(", "XMLHttpRequest", "http", "eval(", "innerHTML"):
        assert word not in source
