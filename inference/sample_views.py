"""Sample the missing views of a photo into a folder, and write the files to open them with."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from base.progress import Progress
from inference.plan import ViewPlan, poses_of
from inference.views_folder import Pixels, ViewsFolder

Draw = Callable[[NDArray[np.float64], Sequence[int]], Iterator[Pixels]]
"""From poses (N, 4) and a seed for each to batches of views, uint8 (n, H, W, 3), in order."""
Matte = Callable[[Pixels], Pixels]
"""From a view on white, uint8 (H, W, 3), to its object, uint8 (H, W, 4)."""


def sample_into(
    folder: Path, plan: ViewPlan, facts: Mapping[str, Any], draw: Draw, matte: Matte, progress: Progress
) -> ViewsFolder:
    """Make the pictures of `plan` missing in `folder`. A batch is on the disk before the next is drawn.

    `facts` are JSON values for views.json. Raises OSError when the disk is full; finished pictures are kept.
    """
    views = ViewsFolder(folder, plan, facts)
    if views.replaced:
        progress.say(f"{folder}: {len(views.replaced)} pictures of another request are replaced")
    missing = views.missing
    total = len(plan.jobs())
    with progress.task("sample", total=total, unit="views", done=total - len(missing)) as task:
        # Batches come in the order of their poses, so jobs and pictures stay in step.
        jobs = iter(missing)
        # Without missing views the model is not called: an empty list has no poses of shape (N, 4).
        batches = draw(poses_of([job.move for job in missing]), [job.seed for job in missing]) if missing else ()
        for batch in batches:
            for pixels in batch:
                views.add(next(jobs), matte(pixels) if plan.alpha else pixels)
            task.advance(len(batch))
    return views


def json_bytes(value: Any) -> bytes:
    """`value` as indented JSON for people, with a newline at the end."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
