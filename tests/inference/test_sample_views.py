"""A folder of sampled views: what is made, kept, replaced and opened elsewhere. The pictures come from a formula."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from base.progress import SILENT
from geometry.camera import PAPER_LENS, camera_centre
from geometry.relative import pose_vector
from geometry.rig import Viewpoint, place_cameras
from inference.plan import Move, ViewPlan, orbit_moves, poses_of, within_reach
from inference.sample_views import sample_into
from inference.view_outputs import write_cameras, write_film, write_sheet
from inference.views_folder import ViewsFolder, read_record
from pipeline.work.found_views import check_found_views
from render.settings import RenderSettings
from shards.layouts import read_views

HW = (24, 32)
PHOTO = np.full((*HW, 4), 200, np.uint8)


class Drawn:
    """Pictures as a pure function of pose and seed, three at a time; counts them, and may stop."""

    def __init__(self, stop_after: int = 10**6) -> None:
        self.count, self.stop_after = 0, stop_after

    def __call__(self, poses: np.ndarray, seeds: Sequence[int]) -> Iterator[np.ndarray]:
        for start in range(0, len(seeds), 3):
            if self.count >= self.stop_after:
                raise KeyboardInterrupt
            some = slice(start, start + 3)
            pictures = [picture_of(pose, seed) for pose, seed in zip(poses[some], seeds[some], strict=True)]
            self.count += len(pictures)
            yield np.stack(pictures)


def picture_of(pose: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, int(abs(pose[1]) * 1e6)])
    picture = np.full((*HW, 3), 255, np.uint8)
    picture[6:18, 8:24] = rng.integers(0, 200, (12, 16, 3))
    return picture


def opaque(pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 255, np.uint8)], axis=-1)


def plan(moves: Sequence[Move], **changes: Any) -> ViewPlan:
    values: dict[str, Any] = {
        "samples": 1,
        "seed": 5,
        "origin": Viewpoint(polar_rad=float(np.deg2rad(70.0))),
        "lens": PAPER_LENS,
        "hw": HW,
        "picture": "png",
        "alpha": False,
        "decides": {"model": "a"},
    }
    return ViewPlan(moves=tuple(moves), **{**values, **changes})


def sampled(folder: Path, asked: ViewPlan, draw: Drawn) -> ViewsFolder:
    return sample_into(folder, asked, {"note": "x"}, draw, opaque, SILENT)


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".png", ".webp")}


def test_a_picture_depends_on_its_seed_and_number_alone(tmp_path: Path) -> None:
    sampled(tmp_path / "many", plan(orbit_moves(7), samples=3), Drawn())
    sampled(tmp_path / "one", plan(orbit_moves(7)), Drawn())
    sampled(tmp_path / "few", plan(orbit_moves(7)[:2], samples=2), Drawn())
    many, one, few = (pictures(tmp_path / name) for name in ("many", "one", "few"))
    assert set(one) == {f"{view:03d}.png" for view in range(7)}
    assert set(few) == {"000.png", "000-1.png", "001.png", "001-1.png"}
    assert len(many) == 21
    assert all(many[name] == data for name, data in {**one, **few}.items())
    assert len(set(many.values())) == 21


def test_a_stopped_command_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    asked = plan(orbit_moves(8))
    with pytest.raises(KeyboardInterrupt):
        sampled(tmp_path / "stopped", asked, Drawn(stop_after=3))
    assert [row["file"] for row in read_record(tmp_path / "stopped")["views"]] == ["000.png", "001.png", "002.png"]
    (tmp_path / "stopped" / "001.png").write_bytes(b"torn")
    draw = Drawn()
    sampled(tmp_path / "stopped", asked, draw)
    assert draw.count == 6
    sampled(tmp_path / "whole", asked, Drawn())
    assert pictures(tmp_path / "stopped") == pictures(tmp_path / "whole")
    assert (tmp_path / "stopped" / "views.json").read_bytes() == (tmp_path / "whole" / "views.json").read_bytes()
    again = Drawn()
    sampled(tmp_path / "whole", asked, again)
    assert again.count == 0


def test_more_moves_and_guesses_keep_the_pictures_there_are(tmp_path: Path) -> None:
    first = Drawn()
    sampled(tmp_path, plan(orbit_moves(4)), first)
    more = Drawn()
    sampled(tmp_path, plan([*orbit_moves(4), Move(polar_rad=0.1, azimuth_rad=0.2, radius=0.0)], samples=2), more)
    assert (first.count, more.count) == (4, 6)


@pytest.mark.parametrize("changed", [{"seed": 6}, {"decides": {"model": "b"}}, {"picture": "webp"}, {"hw": (32, 32)}])
def test_another_request_replaces_its_pictures_and_nothing_else(changed: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(b"mine")
    sampled(tmp_path, plan(orbit_moves(4)), Drawn())
    draw = Drawn()
    views = sampled(tmp_path, plan(orbit_moves(2), **changed), draw)
    assert draw.count == 2
    kind = changed.get("picture", "png")
    assert set(pictures(tmp_path)) == {"mine.png", f"000.{kind}", f"001.{kind}"}
    assert len(views.replaced) == 4


@pytest.mark.parametrize(
    "record",
    [
        b"[1]",
        b"\xff\xff",
        b"[" * 100_000,
        b'{"request": "x", "views": 3}',
        b'{"request": "x", "views": [7, {"file": 3}, {"file": "../../mine.png"}, {"file": "mine.png"}]}',
    ],
)
def test_a_foreign_record_removes_nothing(record: bytes, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    out.mkdir(parents=True)
    for place in (tmp_path, out):
        (place / "mine.png").write_bytes(b"mine")
    (out / "views.json").write_bytes(record)
    sampled(out, plan(orbit_moves(2)), Drawn())
    assert (tmp_path / "mine.png").read_bytes() == (out / "mine.png").read_bytes() == b"mine"


def test_the_record_says_moves_seeds_and_cameras(tmp_path: Path) -> None:
    asked = plan([Move(polar_rad=-0.2, azimuth_rad=0.5, radius=0.1, name="up")], samples=2)
    sampled(tmp_path, asked, Drawn())
    record = json.loads((tmp_path / "views.json").read_text())
    assert record["note"] == "x"
    assert record["lens"] == {"focal_mm": 35.0, "sensor_mm": 32.0}
    first, second = record["views"]
    assert first["seed"] != second["seed"]
    assert first["up_deg"] == pytest.approx(np.rad2deg(0.2))
    assert first["right_deg"] == pytest.approx(np.rad2deg(0.5))
    assert first["away"] == 0.1
    assert first["name"] == "up"
    assert second["sample"] == 1
    assert first["polar_rad"] == pytest.approx(np.deg2rad(70.0) - 0.2)
    assert first["radius"] == pytest.approx(1.95)


def test_cameras_agree_with_the_poses_that_the_model_gets() -> None:
    moves = [Move(polar_rad=0.3, azimuth_rad=-1.0, radius=0.2), *orbit_moves(5)]
    asked = plan(moves)
    start = place_cameras(asked.input_place[None])
    assert np.allclose(pose_vector(np.repeat(start, 6, 0), asked.cameras()), poses_of(moves), atol=1e-9)


def test_moves_stop_at_the_poles_of_a_known_height() -> None:
    moves = [Move(polar_rad=polar, azimuth_rad=0.0, radius=0.0) for polar in (-2.0, 0.1, 2.0)]
    known = within_reach(moves, Viewpoint(polar_rad=1.0))
    assert [move.polar_rad for move in known] == pytest.approx([-1.0, 0.1, 2.0])
    assert within_reach(moves, Viewpoint(polar_rad=None)) == moves


@pytest.mark.parametrize("picture", ["png", "webp"])
def test_the_views_open_in_our_own_renders_source(
    picture: str, tmp_path: Path, render_settings: RenderSettings
) -> None:
    asked = plan(orbit_moves(4), picture=picture, alpha=True)
    views = sampled(tmp_path / "object", asked, Drawn())
    write_cameras(views)
    write_sheet(views, PHOTO)
    read = read_views(tmp_path / "object")
    assert np.allclose(read.extrinsics, asked.cameras(), atol=1e-12)
    assert all(np.array_equal(image, views.pixels(job)) for image, job in zip(read.images, asked.jobs(), strict=True))
    settings = render_settings.model_copy(update={"hw": HW, "views": 4})
    result = check_found_views(tmp_path / "object", "object", settings, tmp_path / "staged")
    assert result.outcome == "ok", result.reason
    assert len(list((tmp_path / "staged").glob("*.webp"))) == 4


def test_transforms_project_as_nerfstudio_reads_them(tmp_path: Path) -> None:
    views = sampled(tmp_path, plan(orbit_moves(3)), Drawn())
    write_cameras(views)
    told = json.loads((tmp_path / "transforms.json").read_text())
    assert [frame["file_path"] for frame in told["frames"]] == ["000.png", "001.png", "002.png"]
    for frame, camera in zip(told["frames"], views.cameras, strict=True):
        world_from_cam = np.array(frame["transform_matrix"])
        origin = np.linalg.inv(world_from_cam) @ [0.0, 0.0, 0.0, 1.0]  # OpenGL axes: in front is −z
        x, y = told["cx"] - told["fl_x"] * origin[0] / origin[2], told["cy"] + told["fl_y"] * origin[1] / origin[2]
        assert (x, y) == pytest.approx((told["w"] / 2, told["h"] / 2))
        assert np.allclose(world_from_cam[:3, 3], camera_centre(camera))
    assert np.tan(told["camera_angle_x"] / 2) == pytest.approx(told["w"] / 2 / told["fl_x"])
    assert np.array_equal(np.load(tmp_path / "extrinsics.npy"), views.cameras)


def test_the_sheet_has_a_row_of_guesses_for_each_view(tmp_path: Path) -> None:
    views = sampled(tmp_path, plan(orbit_moves(2), samples=3), Drawn())
    write_sheet(views, PHOTO)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 4 * 32 + 3 * 8
        pixels = np.asarray(sheet.convert("RGB"))
    cell = views.pixels(views.plan.jobs()[1])
    assert np.array_equal(pixels[4:28, 80:112], cell)  # second guess of the first view, after the photo and one more
    assert (pixels[-40:-20, :32] == 255).all()  # nothing below the photo


@pytest.mark.parametrize("kind", ["mp4", "webm", "webp"])
def test_the_film_plays_each_view_once(kind: str, tmp_path: Path) -> None:
    views = sampled(tmp_path, plan(orbit_moves(5), samples=2), Drawn())
    path = write_film(views, kind, 8.0)
    first = path.read_bytes()
    assert write_film(views, kind, 8.0).read_bytes() == first
    if kind == "webp":
        with Image.open(path) as film:
            assert film.n_frames == 5
            film.seek(1)
            film.load()
            assert film.info["duration"] == 125
        return
    import av

    with av.open(path) as film:
        track = film.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(track)]
        assert (len(frames), track.average_rate) == (5, 8)
    shown = [views.pixels(job).astype(int) for job in views.plan.jobs() if job.sample == 0]
    likest = [np.argmin([np.abs(frame - one).mean() for one in shown]) for frame in frames]
    assert likest == [0, 1, 2, 3, 4]


def test_no_space_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from inference import views_folder

    written = 0

    def fail(path: Path, data: bytes) -> None:
        nonlocal written
        written += 1
        if written > 4:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    with monkeypatch.context() as patched:
        patched.setattr(views_folder, "write_atomically", fail)
        with pytest.raises(OSError, match="No space left"):
            sampled(tmp_path, plan(orbit_moves(3)), Drawn())
    listed = [row["file"] for row in read_record(tmp_path)["views"]]
    assert listed == ["000.png"]
    draw = Drawn()
    sampled(tmp_path, plan(orbit_moves(3)), draw)
    assert draw.count == 2
