"""The ceiling benchmark: distances with known answers, true views, and a whole run on a small object."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from app.settings import load_settings
from bench.oracle import measure_object, oracle_table, summarise
from bench.perturbed import (
    Cost,
    PerturbedOracle,
    drifted,
    measure_perturbed,
    perturbed_table,
    premultiplied,
    sample_views,
    summarise_perturbed,
)
from bench.scans import draw, load_scan
from bench.shape_error import chamfer, occupied
from bench.shape_pictures import write_sheet
from evaluation.shapes.voxels import volumetric_iou
from geometry.camera import look_at_origin


def box(extents: tuple[float, float, float], centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> tuple:
    shape = trimesh.creation.box(extents=extents)
    return shape.vertices + np.array(centre), shape.faces.astype(np.int64)


def test_chamfer_is_the_distance_between_parallel_planes() -> None:
    sheet = (
        np.array([[-0.5, -0.5, 0.0], [0.5, -0.5, 0.0], [0.5, 0.5, 0.0], [-0.5, 0.5, 0.0]]),
        np.array([[0, 1, 2], [0, 2, 3]]),
    )
    raised = (sheet[0] + np.array([0.0, 0.0, 0.1]), sheet[1])
    assert abs(chamfer(sheet, raised) - 0.1) < 0.001
    assert abs(chamfer(sheet, sheet) - 0.005) < 0.0005  # the noise of 10,000 points on an area of 1


def test_occupied_cells_are_those_inside() -> None:
    cells = occupied(*box((0.61, 0.41, 0.21), (0.058, -0.108, 0.158)), cells=52)
    line = (np.arange(52) + 0.5) / 52 * 1.04 - 0.52
    x, y, z = np.meshgrid(line, line, line, indexing="ij")
    inside = (np.abs(x - 0.058) < 0.305) & (np.abs(y + 0.108) < 0.205) & (np.abs(z - 0.158) < 0.105)
    assert (cells == inside).all()
    assert volumetric_iou(cells, cells) == 1.0


def test_a_hole_spoils_few_cells_and_overlaps_count_once() -> None:
    vertices, faces = box((0.6, 0.6, 0.6))
    whole = occupied(vertices, faces)
    assert volumetric_iou(occupied(vertices, faces[1:]), whole) > 0.9
    twice = (np.concatenate([vertices, vertices * 0.5]), np.concatenate([faces, faces + 8]))
    assert (occupied(*twice) == whole).all()


def test_views_show_the_objects_colours_z_up(egg: Path) -> None:
    scan = load_scan(egg)
    assert np.isclose(np.ptp(scan.vertices, axis=0), [1.0, 0.7, 0.5], atol=0.01).all()
    seen = draw(scan, look_at_origin([0.0, -1.8, 0.0]), (48, 48), lit=False)
    assert tuple(seen[24, 30, [0, 2]]) == (255, 0)
    assert tuple(seen[24, 18, [0, 2]]) == (0, 255)
    assert seen[0, 0, 3] == 0
    assert draw(scan, look_at_origin([0.0, -1.8, 0.0]), (48, 48), lit=True)[24, 30, 0] < 255


def test_a_row_has_what_the_table_needs(egg: Path, tmp_path: Path) -> None:
    settings = load_settings(None, [], ["reconstruct.surface.resolution=64", "reconstruct.surface.sweep.resolution=40"])
    row = measure_object(egg, settings.reconstruct, 12, (64, 64), lit=True, pictures=tmp_path)
    assert row["chamfer"] < 0.03
    assert row["iou"] > 0.85
    assert 0.9 < row["hull_volumes"] < 1.3
    summary = summarise([row])
    assert set(summary["solid"]) >= {"chamfer", "iou", "hull_chamfer", "hull_iou", "seconds", "mib"}
    assert "hollow" not in summary
    assert "egg" in oracle_table([row], summary)
    json.dumps(summary)
    write_sheet([tmp_path / "egg.png"] * 2, tmp_path / "all.webp")
    sheet = np.asarray(Image.open(tmp_path / "all.webp").convert("RGB"))
    assert sheet.shape == (2 * 192, 4 * 192, 3)
    coloured, grey, hull, surface = np.split(sheet[:192].astype(int), 4, axis=1)
    assert np.ptp(coloured, axis=2).max() > 100
    assert np.ptp(grey, axis=2).max() < 12
    for shape in (hull, surface):
        assert ((shape < 250).any(axis=2) != (grey < 250).any(axis=2)).mean() < 0.03


def disc() -> np.ndarray:
    """A white disc with soft edges, straight RGBA."""
    rows, columns = np.indices((64, 64)) - 31.5
    alpha = np.clip(20.0 - np.hypot(rows, columns), 0.0, 1.0)
    return np.dstack([np.ones((64, 64, 3)), alpha]).astype(np.float32)


def test_the_perturbed_oracle_drifts_each_view_otherwise_and_blurs_behind_noise() -> None:
    oracle = PerturbedOracle(np.stack([disc(), disc()]), 0)
    first, second = oracle.guesses
    assert 0.005 < np.abs(first[..., 3] - second[..., 3]).mean() < 0.1
    np.testing.assert_array_equal(first, drifted(premultiplied(disc()), 0, 0))
    sharp, blurred = (oracle.denoised([0], noise)[0, ..., 3] for noise in (0.0, 1.0))
    np.testing.assert_allclose(sharp, first[..., 3], atol=1e-6)
    steepest = [np.abs(np.diff(alpha, axis=0)).max() for alpha in (sharp, blurred)]
    assert steepest[1] < 0.5 * steepest[0]


def test_calls_are_counted_with_guidance_and_sampling_ends_at_the_guess() -> None:
    oracle = PerturbedOracle(np.stack([disc()] * 6), 0)
    sampled = sample_views(oracle, 6, steps=5, seed=0)
    assert oracle.calls == 5 * (1 + 1)  # four views fill a call of eight samples, and two more need another
    assert np.abs(sampled[..., 3] - oracle.guesses[..., 3]).max() < 0.1


def test_the_projection_counts_every_network() -> None:
    cost = Cost(calls=600, views=120, cpu_s=10.0)
    gflop = 600 * 8 * 176.34 + 120 * 622.2 + 272.7 + 162.0
    assert cost.total_s == pytest.approx(10.0 + gflop / (790_000.0 * 0.4))


def test_a_row_from_perturbed_views_has_what_the_table_needs(egg: Path) -> None:
    small = ["resolution=64", "sweep.resolution=40"]
    fast = ["mesh.faces=1000", "mesh.texture.edge_px=64", *(f"surface.{one}" for one in small)]
    settings = load_settings(None, [], [f"reconstruct.{one}" for one in fast])
    row = measure_perturbed(egg, settings.reconstruct, 12, (64, 64), lit=True)
    summary = summarise_perturbed([row])
    assert 0.8 < summary["ratio_to_ceiling"] < 2.0
    assert "egg" in perturbed_table([row])
    assert row["iou"] > 0.7
    assert summary["calls"] == 60
    assert summary["within"]["calls"]
    json.dumps(summary)
