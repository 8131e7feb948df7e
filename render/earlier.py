"""Keep an object's earlier views, byte for byte, when more views are requested.

The normalisation, checks, warnings, device and versions must be the same now as then. Otherwise all views are rendered.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from base.digest import canonical_json
from base.passes import pass_file
from render.job import RenderJob, RenderResult, ViewFacts, view_name


@dataclass(frozen=True)
class EarlierViews:
    """A folder of rendered views (NN.webp, passes) and the contents of their views.json, empty without views."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def views(self) -> list[ViewFacts]:
        """The facts of each view, in order."""
        known = [field.name for field in fields(ViewFacts)]
        return [ViewFacts(**{name: row[name] for name in known}) for row in self.record.get("views", [])]

    def join(self, result: RenderResult) -> RenderResult:
        """Return `result`, which is about the new views, with the earlier views before them."""
        return replace(result, views=[*self.views, *result.views], kept=len(self.views))

    def agree(self, record: Mapping[str, Any]) -> bool:
        """Return whether `record`, of earlier and new views together, repeats the earlier record."""
        # Through JSON, so that tuples and lists compare as in the file.
        now, known = json.loads(canonical_json(record)), self.record.get("views", [])
        return not known or {**now, "views": now["views"][: len(known)]} == self.record

    def copy_to(self, job: RenderJob) -> None:
        """Copy the earlier pictures and passes to the folder of the new pictures."""
        for view in range(job.first_view):
            for name in (view_name(view), *(pass_file(view, one) for one in job.settings["passes"])):
                shutil.copyfile(self.folder / name, Path(job.out_dir) / name)


NO_EARLIER_VIEWS = EarlierViews(Path(), {})
"""No earlier views."""
