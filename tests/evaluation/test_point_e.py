"""Point-E's network for signed distances, against a slow reference that loops over blocks, heads and queries."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.special import erf, softmax

from app.main import main
from base.errors import Failure
from evaluation.mesh_files import read_mesh
from evaluation.point_e import EDGE, HEADS, PointESdf, cloud_mesh, sdf_shapes

WIDTH, CPU = 16, torch.device("cpu")


def random_tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = sdf_shapes(WIDTH, 2, 1)
    return {name: 0.4 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def slow_distances(tensors: dict[str, torch.Tensor], points: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The network in float64: a head has its query, key and value in neighbouring channels."""
    t = {name: tensor.double().numpy() for name, tensor in tensors.items()}

    def layer(name: str, x: np.ndarray) -> np.ndarray:
        return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        scaled = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        return scaled * t[f"{name}.weight"] + t[f"{name}.bias"]

    def mlp(name: str, x: np.ndarray) -> np.ndarray:
        inner = layer(f"{name}.c_fc", x)
        return layer(f"{name}.c_proj", inner * 0.5 * (1.0 + erf(inner / math.sqrt(2.0))))

    def mix(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.stack([softmax(k @ row / math.sqrt(len(row))) @ v for row in q])

    each = WIDTH // HEADS
    x = layer("encoder_input_proj", points)
    for block in ("encoder.resblocks.0", "encoder.resblocks.1"):
        wide = layer(f"{block}.attn.c_qkv", norm(f"{block}.ln_1", x))
        heads = [wide[:, 3 * each * h : 3 * each * (h + 1)] for h in range(HEADS)]
        mixed = [mix(head[:, :each], head[:, each : 2 * each], head[:, 2 * each :]) for head in heads]
        x = x + layer(f"{block}.attn.c_proj", np.concatenate(mixed, axis=1))
        x = x + mlp(f"{block}.mlp", norm(f"{block}.ln_2", x))
    block, y = "decoder.resblocks.0", layer("decoder_input_proj", queries)
    query = layer(f"{block}.attn.c_q", norm(f"{block}.ln_1", y))
    wide = layer(f"{block}.attn.c_kv", norm(f"{block}.ln_2", x))
    mixed = [
        mix(
            query[:, each * h : each * (h + 1)],
            wide[:, 2 * each * h :][:, :each],
            wide[:, 2 * each * h + each :][:, :each],
        )
        for h in range(HEADS)
    ]
    y = y + layer(f"{block}.attn.c_proj", np.concatenate(mixed, axis=1))
    y = y + mlp(f"{block}.mlp", norm(f"{block}.ln_3", y))
    found: np.ndarray = layer("output_proj", norm("ln_post", y))[:, 0]
    return found


def points_of(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (count, 3)).astype(np.float32)


def test_distances_are_those_of_the_slow_loops() -> None:
    tensors, points, queries = random_tensors(), points_of(30), points_of(20, seed=2)
    network = PointESdf(tensors)
    found = network.distances(torch.from_numpy(queries), network.encode(torch.from_numpy(points)))
    np.testing.assert_allclose(found.numpy(), slow_distances(tensors, points, queries), atol=2e-5)


class Ball(PointESdf):
    """A network whose distances are those of a ball, moved off the centre to tell the axes apart."""

    def distances(self, queries: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        return (queries - torch.tensor([0.1, -0.05, 0.02])).norm(dim=1) - 0.3


def test_the_surface_is_where_the_distance_is_zero() -> None:
    mesh = cloud_mesh(Ball(random_tensors()), points_of(5), grid_size=32)
    off = np.linalg.norm(mesh.vertices - [0.1, -0.05, 0.02], axis=1) - 0.3
    assert np.abs(off).max() < (EDGE / 31) ** 2
    assert len(mesh.faces) > 1000


class Far(PointESdf):
    """A network with only positive distances."""

    def distances(self, queries: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        return 5.0 + queries[:, 2]


def test_a_field_without_a_surface_is_shifted_as_published() -> None:
    mesh = cloud_mesh(Far(random_tensors()), points_of(5), grid_size=9)
    np.testing.assert_allclose(mesh.vertices[:, 2], 0.0, atol=1e-6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A prediction folder with two clouds, the second unusable, and a network as Point-E's package saves it."""
    (tmp_path / "p" / "clouds").mkdir(parents=True)
    (tmp_path / "p" / "method.yaml").write_text(yaml.safe_dump({"name": "Point-E"}))
    np.savez(tmp_path / "p" / "clouds" / "good.npz", coords=points_of(40), R=np.zeros(40))
    np.savez(tmp_path / "p" / "clouds" / "bad.npz", coords=np.full((4, 3), np.nan))
    torch.save(random_tensors(), tmp_path / "sdf.pt")
    return tmp_path


def test_the_command_makes_what_is_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(grid: int = 12) -> int:
        words = ["--predictions", str(folder / "p"), "--point-e", str(folder / "sdf.pt"), "--device", "cpu"]
        return main(["benchmark", "mesh", *words, "--grid-size", str(grid)])

    assert run() == 1
    assert "no mesh: bad: expected finite coordinates, got NaN or infinity" in capsys.readouterr().out
    made = folder / "p" / "meshes" / "good.ply"
    expected = cloud_mesh(PointESdf(random_tensors()), points_of(40), 12)
    np.testing.assert_allclose(read_mesh(made).vertices, expected.vertices, atol=1e-6)
    before = made.stat().st_mtime_ns
    assert run() == 1
    assert made.stat().st_mtime_ns == before
    run(grid=14)
    assert len(read_mesh(made).vertices) > len(expected.vertices)
    # A mesh that came with the folder is not replaced.
    (folder / "p" / "meshes" / "point-e.json").unlink()
    before = made.stat().st_mtime_ns
    run()
    assert made.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.pop("ln_post.bias"), "expected no missing tensor, got ln_post.bias"),
        (lambda t: t.update({"ln_post.bias": torch.zeros(3)}), r"ln_post.bias: expected shape \[16\], got \[3\]"),
        (lambda t: t.update({"ln_post.bias": torch.full((16,), torch.nan)}), "expected finite numbers"),
        (lambda t: t.pop("encoder_input_proj.weight"), "expected the tensors of Point-E's model sdf, got others"),
    ],
)
def test_other_tensors_are_named(tmp_path: Path, change: object, sentence: str) -> None:
    tensors = random_tensors()
    change(tensors)  # type: ignore[operator]
    torch.save(tensors, tmp_path / "sdf.pt")
    with pytest.raises(Failure, match=sentence):
        PointESdf.from_file(tmp_path / "sdf.pt", CPU)
