"""A child in the place of `inference.picture_program`: true samples at once, without a model.

A picture whose name begins with a fault of tests/render/misbehaving.py (`segfault-3.png`) meets it. `install` puts the
program into this process; Ray calls it in every worker where the environment says so, see `WORKERS`.
"""

import ctypes
import hashlib
import json
import os
import signal
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from base.digest import canonical_json, sha256_bytes
from base.typed import parse_typed_json
from geometry.rig import Viewpoint
from inference.cameras import AskedCameras
from inference.picture_request import (
    MESH,
    ChildSetup,
    MeshesRequest,
    ModelFacts,
    PictureJob,
    PictureJobs,
    PictureResult,
    ViewsRequest,
)
from inference.plan import LEVEL_RAD, ViewPlan
from shards.arrays import npy_bytes
from shards.image import encode_rgba
from shards.sample import INPUT, view_suffix
from tests.render.misbehaving import act

WORKERS = {
    "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(
        {"runtime_env": {"worker_process_setup_hook": f"{__name__}.install"}, "metadata": {}}
    )
}
HW = (16, 16)
SLOWEST_S = 0.4
SAMPLING = {
    "guidance_scale": 1.0, "guidance_interval": [0.0, 1.0], "steps": 2, "eta": 0.0, "sampler": "ddim",
    "timesteps": "all",
}  # fmt: skip


def install() -> None:
    """Have stages of this process start this program."""
    import inference.picture_stages
    from inference.picture_child import PictureChild

    inference.picture_stages.PictureChild = partial(PictureChild, command=(sys.executable, __file__))  # type: ignore[misc,assignment]


def main() -> None:
    """Arguments: the channel, the parent."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    channel = int(sys.argv[1])

    def send(message: object) -> None:
        os.write(channel, json.dumps(message).encode() + b"\n")

    setup = parse_typed_json(ChildSetup, sys.stdin.readline())
    facts = ModelFacts(digest="0" * 16, hw=HW, pose_slot4="radius_difference", sampling=SAMPLING, device="kind CPU")
    send({"ready": asdict(facts)})
    for line in sys.stdin:
        results = []
        for job in parse_typed_json(PictureJobs, line).jobs:
            send({"phase": "prepare"})
            send({"phase": "sample"})
            act(Path(job.file).name.partition("-")[0], channel, Path())
            views, mesh = drawn(job, setup), ""
            if isinstance(setup.request, MeshesRequest):
                data = f"mesh of {job.uid}, seed {setup.request.seed}".encode()
                Path(job.out, MESH).write_bytes(data)
                mesh = sha256_bytes(data)
            results.append(asdict(PictureResult(outcome="ok", views=views, mesh=mesh)))
        send({"results": results})


def drawn(job: PictureJob, setup: ChildSetup) -> int:
    """Write views whose colours follow from the picture's bytes, the request and the view's number."""
    assert setup.request is not None
    cameras = AskedCameras(moves=(), orbit=2, rig=None, seed=0)
    if isinstance(setup.request, ViewsRequest):
        cameras = setup.request.cameras
    seed = canonical_json([cameras.seed, job.elevation_deg]).encode()
    identity = hashlib.sha256(Path(job.file).read_bytes() + seed).digest()
    time.sleep(SLOWEST_S * identity[0] / 255)
    origin = Viewpoint(polar_rad=LEVEL_RAD, radius=1.85)
    lens = parse_lens(setup)
    plan = ViewPlan(
        moves=cameras.moves_from(origin, lens), samples=1, seed=0, origin=origin, lens=lens, hw=HW, picture="webp",
        alpha=False, decides={},
    )  # fmt: skip
    for view in range(len(plan.moves)):
        colours = hashlib.shake_256(identity + bytes([view])).digest(4 * HW[0] * HW[1])
        Path(job.out, view_suffix(view)).write_bytes(encode_rgba(np.frombuffer(colours, np.uint8).reshape(*HW, 4)))
    Path(job.out, INPUT).write_bytes(encode_rgba(np.full((*HW, 4), identity[0], np.uint8)))
    Path(job.out, "extrinsics.npy").write_bytes(npy_bytes(plan.cameras()))
    record = {"schema": 1, "uid": job.uid, "hw": list(HW), "lens": vars(lens), "passes": "", "input": INPUT}
    Path(job.out, "views.json").write_text(canonical_json(record))
    return len(plan.moves)


def parse_lens(setup: ChildSetup):
    """The lens of the settings."""
    from geometry.camera import Lens

    framing = setup.sections["photo"]["framing"]
    return Lens(focal_mm=framing["focal_mm"], sensor_mm=framing["sensor_mm"])


if __name__ == "__main__":
    main()
