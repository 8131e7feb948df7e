"""Views of an object that were made before, when fewer were asked for: they stay as they are, byte for byte.

What Blender says of the object must be the same now as then: the normalisation, its checks, warnings, device and
versions. If it is not, the earlier views belong to another set, and all are rendered.
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
    """A folder of rendered views (NN.webp, passes) and what their views.json says; `record` is empty without any."""

    folder: Path
    record: Mapping[str, Any]

    @property
    def views(self) -> list[ViewFacts]:
        """What is known of each view, in order."""
        known = [field.name for field in fields(ViewFacts)]
        return [ViewFacts(**{name: row[name] for name in known}) for row in self.record.get("views", [])]

    def joined(self, result: RenderResult) -> RenderResult:
        """`result` of the views that were still to be made, with the earlier ones before them."""
        return replace(result, views=[*self.views, *result.views], kept=len(self.views))

    def agree(self, record: Mapping[str, Any]) -> bool:
        """True when `record`, of earlier and new views together, says of them and of all else what was said before."""
        now, known = json.loads(canonical_json(record)), self.record.get("views", [])
        return not known or {**now, "views": now["views"][: len(known)]} == self.record

    def copy_to(self, job: RenderJob) -> None:
        """Put the earlier pictures and passes beside the new ones."""
        for view in range(job.first_view):
            for name in (view_name(view), *(pass_file(view, one) for one in job.settings["passes"])):
                shutil.copyfile(self.folder / name, Path(job.out_dir) / name)


NONE = EarlierViews(Path(), {})
"""Nothing was made before."""
