"""Small demo facts with hostile text, shared by the tests of the pages."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from geometry.camera import look_at_origin
from geometry.sphere import cartesian_from_spherical
from report.pages.demo_facts import (
    DemoFacts,
    MeshFacts,
    ObjectFacts,
    PairFacts,
    RenderFacts,
    ScoreFacts,
    StageFacts,
    TrainFacts,
)

HOSTILE = "<script>alert('x')</script>\"><img src=https://evil.example/x onerror=alert(1)>\x1b[31m\u202e{{ 7*7 }}"
PX = 24


def cameras(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    polar, azimuth = rng.uniform(0.2, 2.9, count), rng.uniform(0, 6.28, count)
    centres = cartesian_from_spherical(polar, azimuth, rng.uniform(1.5, 2.2, count))
    return np.stack([look_at_origin(centre) for centre in centres])


def image(seed: int, channels: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (PX, PX, channels), dtype=np.uint8)


def plain(seed: int, channels: int = 4) -> np.ndarray:
    """A picture that packs quickly: one colour, opaque within a square."""
    pixels = np.full((PX, PX, channels), (40 * seed % 256, 90, 160, 0)[:channels], np.uint8)
    pixels[6:18, 6:18, 3:] = 255
    return pixels


def tetrahedron() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    vertices = np.array([[0.5, 0.5, 0.5], [-0.5, -0.5, 0.5], [-0.5, 0.5, -0.5], [0.5, -0.5, -0.5]])
    faces = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 99, 199]], np.uint8)
    return vertices, faces, colours


def thing(uid: str, title: str) -> ObjectFacts:
    views = tuple(plain(seed) for seed in range(4))
    return ObjectFacts(
        uid=uid, title=title, views=views, extrinsics=cameras(4), held_out=(2, 3), licence=HOSTILE, author=HOSTILE,
        source=HOSTILE,
    )  # fmt: skip


def pair(uid: str, model_db: float, input_db: float) -> PairFacts:
    return PairFacts(
        uid=uid, source=0, target=2, input=plain(0), novel=plain(9, 3), true=plain(2), psnr_model_db=model_db,
        psnr_input_db=input_db,
    )  # fmt: skip


def mesh() -> MeshFacts:
    vertices, faces, colours = tetrahedron()
    silhouette = np.zeros((PX, PX), bool)
    silhouette[6:18, 6:18] = True
    return MeshFacts(
        uid="one", view=0, input=plain(0), input_cam_from_world=cameras(4)[0], vertices=vertices, faces=faces,
        colours=colours, silhouette=silhouette, turntable=tuple(plain(seed) for seed in range(5)), iou=0.8125,
        iou_goal=0.8, steps=40, views=0, glb=Path("runs/demo/mesh.glb"),
    )  # fmt: skip


def demo_facts() -> DemoFacts:
    steps = np.arange(1, 81) * 16.0
    train = TrainFacts(
        hw=(PX, PX), init="", parameters=1_234_567, images=1280, seconds=61.5, batch=16, images_seen=steps,
        loss=1.0 / steps, learning_rate=np.full(80, 1e-3),
    )  # fmt: skip
    scores = ScoreFacts(
        pairs=32, guidance_scale=2.0, sampling_steps=12, goal_db=1.0, notes=(HOSTILE,),
        means={
            "psnr_db": {"model": 18.5, "input": 16.25, "white": 17.0, "mean_view": 19.75},
            "ssim": {"model": 0.875, "input": 0.75, "white": 0.625, "mean_view": 0.8125},
            "haarpsi_distance": {"model": 0.25, "input": 0.5, "white": 0.75, "mean_view": 0.375},
        },
    )  # fmt: skip
    return DemoFacts(
        objects=(thing("one", HOSTILE), thing("two", "Two")),
        render=RenderFacts(
            hw=(PX, PX), samples=8, rendered=2, reused=0, version=1, pairs=24, shards=1, dataset_bytes=54_321
        ),
        train=train,
        scores=scores,
        pairs=(pair("one", 18.0, 17.0), pair("two", 15.0, 16.5)),
        pairs_chosen="the first pair of each object",
        mesh=mesh(),
        stages=(StageFacts(name="render", note=HOSTILE, seconds=12.25, peak_bytes=1_500_000_000),
                StageFacts(name="train", note="", seconds=61.5, peak_bytes=2_500_000_000)),
        machine=HOSTILE,
        versions={HOSTILE: HOSTILE, "Python": "3.11"},
        settings_digest="0123456789abcdef",
        seed=7,
        commands=("make demo", HOSTILE),
    )  # fmt: skip


def with_psnr(facts: DemoFacts, **changes: float) -> DemoFacts:
    means = dict(facts.scores.means)
    return replace(facts, scores=replace(facts.scores, means={**means, "psnr_db": {**means["psnr_db"], **changes}}))
