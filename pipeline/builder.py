"""`build`: bring a dataset up to date with a list of objects.

The same call again resumes a stopped build, renders new or changed objects, and otherwise does nothing.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from base.digest import digest_json
from base.errors import UsageError
from base.progress import Progress
from base.settings import Section
from base.storage import StorageSettings
from pipeline.catalog.objects import SourceObject
from pipeline.catalog.tables import VersionFacts
from pipeline.cluster.actor import RunnerFactory
from pipeline.settings import ObjectsSettings, RunSettings
from pipeline.sources.folder import folder_objects
from pipeline.sources.gso import gso_objects
from pipeline.sources.objaverse import objaverse_objects
from pipeline.sources.renders import rendered_objects
from pipeline.sources.urls import url_objects
from pipeline.update import BuildSummary, Order, bring_up_to_date
from pipeline.work.found_views import DEPENDS_ON
from pipeline.work.render_stage import RenderStage
from pipeline.work.worker import Worker
from render.settings import RenderSettings
from shards.settings import ShardsSettings


class BuildSettings(Section):
    """The settings sections of a build."""

    storage: StorageSettings
    objects: ObjectsSettings
    run: RunSettings
    render: RenderSettings
    shards: ShardsSettings

    @property
    def views_digest(self) -> str:
        """16 digits of all settings that determine the dataset's bytes."""
        return digest_json([self.recorded["render"], self.recorded["shards"], self.run.seed])

    @property
    def recorded(self) -> dict[str, Any]:
        """The settings to record with a version, by section. For views rendered elsewhere: what they had to satisfy."""
        if self.objects.source == "renders":
            views = self.render.model_dump(mode="json", include=set(DEPENDS_ON))
        else:
            # Limits of the child and the device decide how views are made, not what they show.
            views = self.render.model_dump(mode="json", exclude={"child", "device"})
        return {"render": views, "shards": self.shards.model_dump(mode="json"), "run": {"seed": self.run.seed}}


def build(
    settings: BuildSettings,
    progress: Progress,
    *,
    dry_run: bool = False,
    retry: frozenset[str] = frozenset(),
    make: RunnerFactory = Worker,
) -> BuildSummary:
    """Bring the dataset at `storage.root` up to date with the objects and settings, see `bring_up_to_date`.

    Raises UsageError too when objects cannot be listed or no worker would get a GPU.
    """
    # Mistakes in settings come first: the list of objects may need large downloads.
    _check_gpus(settings)
    _check_passes(settings)
    return bring_up_to_date(build_order(settings, progress), progress, dry_run=dry_run, retry=retry, make=make)


def build_order(settings: BuildSettings, progress: Progress) -> Order:
    """Return a build as an order."""
    objects, render = settings.objects, settings.render
    # Absolute, because Ray starts its workers in folders of their own.
    models = str(Path(objects.folder).expanduser().absolute()) if objects.source == "folder" else ""
    return Order(
        root=settings.storage.root,
        items=lambda: list_requested_objects(objects, progress),
        stage=RenderStage(objects.source, render, settings.run.seed, models),
        run=settings.run,
        shards=settings.shards,
        fetch=objects.fetch,
        objaverse=objects.objaverse,
        filter=objects.filter,
        facts=VersionFacts(settings.views_digest, render.views, render.hw, settings.recorded),
        settings=settings.model_dump(mode="json"),
    )


def _check_passes(settings: BuildSettings) -> None:
    if settings.objects.source == "renders" and settings.render.passes:
        passes = ", ".join(settings.render.passes)
        raise UsageError(f"render.passes: expected no passes for views rendered elsewhere, got {passes}")


def _check_gpus(settings: BuildSettings) -> None:
    """Require a share of a GPU per worker: otherwise all workers would take the first GPU."""
    device = settings.render.device
    renders = settings.objects.source != "renders"
    if renders and device not in ("CPU", "auto") and not settings.run.gpus_per_worker:
        raise UsageError(f"run.gpus_per_worker: expected more than 0 with render.device {device}, got 0")


def list_requested_objects(settings: ObjectsSettings, progress: Progress) -> Iterable[SourceObject]:
    """List the objects requested by the settings. Raises UsageError for a source without a list."""
    if settings.source == "folder":
        return folder_objects(Path(settings.folder).expanduser(), progress)
    if settings.source == "renders":
        return rendered_objects(Path(settings.renders).expanduser(), progress)
    if settings.source == "gso":
        return gso_objects(Path(settings.gso).expanduser(), progress)
    if settings.source == "urls":
        return url_objects(Path(settings.urls).expanduser())
    return objaverse_objects(settings.objaverse, settings.fetch, progress, settings.source)
