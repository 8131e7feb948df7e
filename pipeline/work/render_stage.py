"""The stage of a build: an object becomes rendered views, or views rendered elsewhere are checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from pipeline.catalog.objects import SourceObject
from pipeline.sources.folder import model_sha256
from pipeline.sources.gso import SOURCE as GSO
from pipeline.sources.gso import scan_root, scan_sha256
from pipeline.sources.renders import views_sha256
from pipeline.work.earlier_views import copy_earlier_views
from pipeline.work.found_views import check_found_views, found_fingerprints
from pipeline.work.stage import ItemWork, Stage, StageResult
from render.child import RenderChild
from render.fingerprint import fingerprints
from render.formats.registry import CHECKS
from render.formats.roots import Root
from render.job import RenderResult
from render.run import render_views
from render.settings import RenderSettings
from report.wording import BUILDING
from shards.sample import members_from_views


def view_fingerprints(source: str, render: RenderSettings, seed: int) -> Callable[[str], str]:
    """Return a function from an object's sha256 to its fingerprint, for this kind of source."""
    return found_fingerprints(render) if source == "renders" else fingerprints(render, render.compat, seed)


@dataclass(frozen=True)
class RenderStage(Stage):
    """Render with a Blender child. `models` is the source folder of models, empty for other sources."""

    source: str
    render: RenderSettings
    seed: int
    models: str = ""

    wording = BUILDING
    rooms = ("render",)
    packages = ("bpy",)
    suffixes = frozenset(CHECKS)

    def fingerprint(self, sha256: str) -> str:
        """Return the fingerprint of an object of these bytes."""
        return self._fingerprints(sha256)

    @cached_property
    def _fingerprints(self) -> Callable[[str], str]:
        # Once: the digest of the settings is the larger part, and a plan asks for a million.
        return view_fingerprints(self.source, self.render, self.seed)

    def read(self, item: SourceObject, folder: Path) -> tuple[Path, str] | None:
        """Return the path and digest of a model with its companions, or of a folder of views; None for an address."""
        path = Path(item.location)
        if item.source == "folder":
            return path, model_sha256(path, self._root(item))
        if item.source == GSO:
            return path, scan_sha256(path)
        return (path, views_sha256(path)) if item.source == "renders" else None

    def do(self, work: ItemWork) -> StageResult:
        """Render or check the views of an object."""
        work.enter("start")
        result = self._result(work)
        return StageResult(
            outcome=result.outcome,
            reason=result.reason,
            phase=result.phase,
            checks=result.positive_checks,
            faults=result.faults,
            seconds=result.seconds,
            views=len(result.views) - result.kept,
            peak_mb=self._child.peak_mb,
            device=", ".join(f"{key} {value}" for key, value in sorted(result.device.items())),
            walls=self._child.isolation,
            warnings="; ".join(result.warnings),
            stderr_tail=result.stderr_tail,
        )

    def record(self, folder: Path, facts: Mapping[str, str]) -> dict[str, bytes]:
        """Return the members of a sample of rendered views."""
        return members_from_views(folder, facts)

    def with_views(self, views: int) -> Self | None:
        """Return the stage of another number of views; None for views from elsewhere, which cannot be extended."""
        if self.source == "renders":
            return None
        return replace(self, render=self.render.model_copy(update={"views": views}))

    @property
    def leaves_out_missing(self) -> bool:
        """True if `render.missing_pictures` leaves such objects out."""
        return self.render.missing_pictures == "leave_out"

    @property
    def device(self) -> str:
        """The device of the renders."""
        return self.render.device

    def close(self) -> None:
        """End the child."""
        self._child.close()

    @cached_property
    def _child(self) -> RenderChild:
        return RenderChild(self.render)

    def _result(self, work: ItemWork) -> RenderResult:
        item, render = work.item, self.render
        if item.source == "renders":
            return check_found_views(work.path, item.uid, render, work.out)
        earlier = copy_earlier_views(work.storage, work.earlier, work.sha256, render, work.out.parent)
        self._child.watch = work.enter
        root, z_up = self._root(item), item.source == GSO
        return render_views(
            self._child, work.path, item.uid, render, self.seed, work.out, earlier, root=root, z_up=z_up
        )

    def _root(self, item: SourceObject) -> Root | None:
        """Return the folders below which an object's model may name files; None for the model's own folder."""
        if item.source == GSO:
            return scan_root(Path(item.location))
        return Root.of_folder(Path(self.models)) if item.source == "folder" and self.models else None
