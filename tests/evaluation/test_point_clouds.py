"""Point clouds from strangers: MCC's grids become closed surfaces, and others are refused in a sentence."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh

from base.errors import Failure
from evaluation.point_clouds import grid_surface, read_cloud_mesh
from evaluation.predictions import Predictions
from evaluation.shapes.triangles import Triangles
from shards.arrays import npy_bytes

STEP = 0.1


def mcc_grid(size: int = 60) -> np.ndarray:
    """`get_grid` of MCC's engine_mcc.py, world size 3, in its own float32."""
    index = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
    return (index - np.float32(size / 2)) / np.float32(size / 2 / 3.0)


def ball(points: np.ndarray, radius: float = 1.0) -> np.ndarray:
    return points[np.linalg.norm(points, axis=1) <= radius]


def block() -> np.ndarray:
    """3 × 4 × 5 points, STEP apart, from (1, 2, 3)."""
    index = np.stack(np.meshgrid(range(3), range(4), range(5), indexing="ij"), axis=-1).reshape(-1, 3)
    return index * STEP + [1.0, 2.0, 3.0]


def volume(mesh: Triangles) -> float:
    """The signed volume: positive for a surface oriented outwards."""
    return float(np.linalg.det(mesh.corners).sum() / 6)


def save_npz(path: Path, **arrays: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def test_a_block_reaches_half_a_step_beyond_its_points() -> None:
    low, high = grid_surface(block()).box
    assert low == pytest.approx([0.95, 1.95, 2.95])
    assert high == pytest.approx([1.25, 2.35, 3.45])


def test_the_surface_is_closed_and_faces_outwards() -> None:
    mesh = grid_surface(ball(mcc_grid()).astype(np.float64))
    assert trimesh.Trimesh(mesh.vertices, mesh.faces).is_watertight
    assert volume(mesh) == pytest.approx(4 / 3 * np.pi, rel=0.02)


def test_occupancy_places_the_surface_between_points() -> None:
    points = mcc_grid().astype(np.float64)
    distance = np.linalg.norm(points, axis=1)
    # 0.1 at a distance of 1, linear around it.
    mesh = grid_surface(points, np.clip(0.1 - (distance - 1.0), 0.0, 1.0))
    assert np.linalg.norm(mesh.vertices, axis=1) == pytest.approx(np.ones(len(mesh.vertices)), abs=0.003)
    assert volume(mesh) > 0.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_files_of_every_precision_give_the_same_surface(tmp_path: Path, dtype: type) -> None:
    points = ball(mcc_grid())
    path = save_npz(tmp_path / "a.npz", coords=points.astype(dtype), R=np.zeros(len(points)), G=np.zeros(len(points)))
    assert volume(read_cloud_mesh(path)) == pytest.approx(volume(grid_surface(points.astype(float))), rel=0.005)


def test_ply_points_and_the_up_axis_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(trimesh.PointCloud(block()).export(file_type="ply"))
    low, high = read_cloud_mesh(tmp_path / "a.ply", "y").box
    assert low == pytest.approx([0.95, -3.45, 1.95], abs=1e-5)
    assert high == pytest.approx([1.25, -2.95, 2.35], abs=1e-5)


def test_a_prediction_folder_may_hold_clouds(tmp_path: Path) -> None:
    (tmp_path / "method.yaml").write_text("name: MCC\n")
    save_npz(tmp_path / "clouds" / "chair.npz", coords=block())
    predictions = Predictions(tmp_path)
    before = predictions.digest("chair")
    assert volume(predictions.mesh("chair")) > 0.0
    save_npz(tmp_path / "clouds" / "chair.npz", coords=block()[:-1])
    assert predictions.digest("chair") != before


def archive(member: bytes, name: str = "coords.npy", method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as made:
        made.writestr(name, member)
    return stream.getvalue()


def claiming(data: bytes, size: int) -> bytes:
    """An archive whose directory states another unpacked size."""
    at = data.rfind(b"PK\1\2")
    return data[: at + 24] + size.to_bytes(4, "little") + data[at + 28 :]


class Evil:
    """Unpickling it would raise, and not be refused by its type."""

    def __reduce__(self) -> tuple:
        return exec, ("raise SystemExit('unpickled')",)


def pickled() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, coords=np.array([[Evil()] * 3], object))
    return stream.getvalue()


def random_points(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, 3)).astype(np.float32)


def huge() -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 3)})
    return archive(stream.getvalue())


BAD = {
    "pickled.npz": (pickled, "got object of shape (1, 3)"),
    "huge.npz": (huge, "expected the (1000000000000, 3) values that its header promises"),
    "bomb.npz": (lambda: claiming(archive(npy_bytes(block())), 1 << 30), "at most 512 MiB unpacked, got 1024 MiB"),
    "lzma.npz": (lambda: archive(npy_bytes(block()), method=zipfile.ZIP_LZMA), "stored or deflated"),
    "text.npz": (lambda: b"no archive", "expected a whole point cloud"),
    "cut.npz": (lambda: archive(npy_bytes(block()))[:-30], "expected a whole point cloud"),
    "mesh.npz": (lambda: archive(npy_bytes(block()), "vertices.npy"), "expected an array 'coords', got vertices.npy"),
    "integers.npz": (lambda: archive(npy_bytes(np.zeros((4, 3), np.int64))), "got int64 of shape (4, 3)"),
    "flat.npz": (lambda: archive(npy_bytes(np.zeros((4, 2), np.float32))), "expected float32 of shape n×3"),
    "point-e.npz": (lambda: archive(npy_bytes(random_points(4096))), "`zero123 benchmark mesh` makes meshes"),
    "few.npz": (lambda: archive(npy_bytes(random_points(5))), "as MCC predicts them, got other points"),
    "one.npz": (lambda: archive(npy_bytes(block()[:1])), "expected 2 to 4,000,000 points, got 1"),
    "same.npz": (lambda: archive(npy_bytes(np.ones((4, 3)))), "got all points at the same place"),
    "nan.npz": (lambda: archive(npy_bytes(np.full((4, 3), np.nan))), "larger ones or NaN"),
    "far.npz": (lambda: archive(npy_bytes(block() * 1e300)), "larger ones or NaN"),
    "text.ply": (lambda: b"no points", "expected a PLY header"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_clouds_are_named_in_a_sentence(tmp_path: Path, name: str) -> None:
    data, sentence = BAD[name]
    (tmp_path / name).write_bytes(data())
    with pytest.raises(Failure) as error:
        read_cloud_mesh(tmp_path / name)
    assert sentence in str(error.value)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_occupancies_are_refused(tmp_path: Path) -> None:
    for values, sentence in ((np.full(60, -4.0), "after MCC's sigmoid"), (np.zeros(60), "above 0.1, got none")):
        path = save_npz(tmp_path / "a.npz", coords=block(), occupancy=values)
        with pytest.raises(Failure, match=sentence):
            read_cloud_mesh(path)
    with pytest.raises(Failure, match="occupancy: expected float32 of shape 60"):
        read_cloud_mesh(save_npz(tmp_path / "a.npz", coords=block(), occupancy=np.zeros(59)))


def test_a_surface_of_too_many_faces_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluation.point_clouds.MAX_FACES", 100)
    with pytest.raises(ValueError, match="at most 100 faces, got about"):
        grid_surface(block())
