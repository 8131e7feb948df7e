"""Render a single model from Python, without a dataset: `from render import render_object`."""

import re
from pathlib import Path

from base.errors import Failure
from base.outcomes import Outcome
from render.child import RenderChild
from render.formats.roots import Root
from render.job import RenderResult
from render.run import render_views
from render.settings import RenderSettings

NOT_IN_UIDS = re.compile(r"[^A-Za-z0-9_-]+")


def render_object(
    model: str | Path, out_dir: str | Path, settings: RenderSettings, *, seed: int = 0, uid: str = ""
) -> RenderResult:
    """Render the views of a model file into the folder `out_dir`, in a Blender child of their own.

    The folder then holds NN.webp, uint8 RGBA of `settings.hw`; extrinsics.npy, `cam_from_world` (V, 3, 4) float64; and
    views.json. `seed` and `uid` determine the cameras; without a `uid`, the file's name does. Raises Failure when the
    model cannot be rendered, with its outcome and reason.
    """
    source, out = Path(model), Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    uid = uid or NOT_IN_UIDS.sub("_", source.stem)[:64] or "model"
    with RenderChild(settings) as child:
        result = render_views(child, source, uid, settings, seed, out, root=Root.of_file(source))
    if result.outcome is not Outcome.OK:
        raise Failure(f"{source}: {result.outcome}: {result.reason}")
    return result
