"""A child in Blender's place that makes true samples quickly, so that faults can be repeated hundreds of times.

It speaks the protocol of `render.blender`; a uid that opens with the name of a fault (`segfault-3`) meets it. `install`
puts it into every worker of a build: Ray calls it where the environment of the build's process says so, see `WORKERS`.
"""

import ctypes
import hashlib
import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from PIL import Image

from render.job import Outcome, RenderJob, RenderResult, ViewFacts, view_name
from tests.render.misbehaving import NORMALISATION, act

WORKERS = {
    "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(
        {"runtime_env": {"worker_process_setup_hook": f"{__name__}.install"}, "metadata": {}}
    )
}
"""What the environment of a build's process says, so that its workers have this child."""
PR_SET_PDEATHSIG = 1
SLOWEST_S = 0.4


def install() -> None:
    """Have the workers of this process start this child instead of Blender."""
    import pipeline.work.render_stage
    from render.child import RenderChild

    pipeline.work.render_stage.RenderChild = partial(RenderChild, command=(sys.executable, __file__))  # type: ignore[misc,assignment]


def main() -> None:
    """Arguments: the device, the channel, the parent."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    channel = int(sys.argv[2])

    def send(message: object) -> None:
        os.write(channel, json.dumps(message).encode() + b"\n")

    send({"ready": True, "walls": {}})
    for line in sys.stdin:
        job = RenderJob.from_json(Path(json.loads(line)["job"]).read_bytes())
        send({"phase": "view"})
        act(job.uid.partition("-")[0], channel, Path())
        send({"result": drawn(job).to_json()})


def drawn(job: RenderJob) -> RenderResult:
    """Views whose colours follow from the model's bytes, the uid and the view's number."""
    identity = hashlib.sha256(Path(job.file).read_bytes() + job.uid.encode())
    time.sleep(SLOWEST_S * identity.digest()[0] / 255)
    height, width = job.settings["hw"]
    for view in job.views:
        colours = hashlib.shake_256(identity.digest() + bytes([view])).digest(4 * height * width)
        picture = Image.frombytes("RGBA", (width, height), colours)
        picture.save(Path(job.out_dir, view_name(view)), lossless=True, exact=True)
    seen = {"coverage": 1.0, "colour_range": 255, "border_share": 1.0, "touches_border": True}
    good = dict.fromkeys(("transparent", "blank", "single_colour", "not_finite"), False)
    return RenderResult(
        outcome=Outcome.OK,
        views=[ViewFacts(view=view, **seen, **good) for view in job.views],
        normalisation=NORMALISATION,
        lights=job.lights,
        device={"kind": "CPU"},
        checks={"meshes": 1},
        versions={"blender": "stub"},
    )


if __name__ == "__main__":
    main()
