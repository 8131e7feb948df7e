"""Folders of views from models, without a dataset, for `zero123 render`."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from base.digest import digest_json
from base.errors import UsageError
from base.outcomes import Outcome
from base.progress import SILENT, Progress, Task
from base.scratch import folder_beside
from base.storage import write_atomically
from base.text import replace_surrogates
from pipeline.catalog.objects import short_uid, uid_of
from pipeline.sources.folder import model_sha256
from pipeline.sources.model_files import find_models, path_text
from render.child import RenderChild
from render.fingerprint import fingerprint
from render.formats.roots import Root
from render.job import RenderResult
from render.layouts import convert_views
from render.run import render_views
from render.settings import RenderSettings

MARK = "render.json"


@dataclass(frozen=True)
class RequestedModel:
    """A model, its path below the source folder, the folder for its views, and the root of files it may name.

    The uid, and so the cameras, are the same as in a build of the source folder.
    """

    model: Path
    name: str
    out: Path
    uid: str
    root: Root


@dataclass(frozen=True)
class RenderedModel:
    """The result of a model; `done_before` when an earlier run has already made the same views."""

    requested: RequestedModel
    result: RenderResult
    done_before: bool = False


def list_requested_models(sources: Sequence[Path], out: Path, progress: Progress) -> list[RequestedModel]:
    """Find the models among `sources` (files, folders), each with its output folder: `out` itself for a single file.

    Models with views of an earlier release keep their uid and folder. Raises UsageError for a source without models,
    for a name that is not UTF-8, and for two models that would share a folder.
    """
    for source in sources:
        if replace_surrogates(str(source)) != str(source):
            raise UsageError(f"{path_text(source)}: expected a name in UTF-8")
    if len(sources) == 1 and sources[0].is_file():
        (model,) = sources
        requested = RequestedModel(model, model.name, out, uid_of(model.stem, model.name), Root.of_file(model))
        return [replace(requested, uid=short_uid(requested.uid)) if _is_of(out, requested) else requested]
    models = _under_known_uids(
        [_asked(name, model, out, source) for source in sources for name, model in _models(source, progress)]
    )
    # All are checked before the first render: a clash found later would waste the work before it.
    by_folder = {one.out: one.model for one in models}
    for one in models:
        if by_folder[one.out] != one.model:
            raise UsageError(f"expected models of different names, got {one.model} and {by_folder[one.out]}")
    return models


def _models(source: Path, progress: Progress) -> Iterator[tuple[str, Path]]:
    if source.is_file():
        yield source.name, source
        return
    if not source.is_dir():
        raise UsageError(f"{source}: expected a model's file or a folder of models, got nothing")
    for name in find_models(source, progress):
        yield name, source / name


def _asked(name: str, model: Path, out: Path, source: Path) -> RequestedModel:
    uid = uid_of(Path(name).stem, name)
    root = Root.of_file(model) if model == source else Root.of_folder(source)
    return RequestedModel(model, name, out / uid, uid, root)


def _under_known_uids(models: Sequence[RequestedModel]) -> list[RequestedModel]:
    """Give models their short uid if an earlier release left their views in a folder of that name."""
    sharing = Counter(short_uid(requested.uid) for requested in models)
    return [
        replace(requested, out=folder, uid=short)
        if _is_of(folder := requested.out.with_name(short), requested, same_bytes=sharing[short] > 1)
        else requested
        for requested in models
        for short in [short_uid(requested.uid)]
    ]


def _is_of(folder: Path, requested: RequestedModel, *, same_bytes: bool = False) -> bool:
    """Whether an earlier release left views of this model, or of the same bytes, in a folder."""
    mark = read_mark(folder)
    if (mark.get("uid"), mark.get("model")) != (short_uid(requested.uid), requested.model.name):
        return False
    with suppress(OSError):  # the render reports a model that cannot be read
        return not same_bytes or mark.get("sha256") == model_sha256(requested.model, requested.root)
    return False


def render_models(
    requested: Sequence[RequestedModel], settings: RenderSettings, seed: int, layout: str, progress: Progress
) -> Iterator[RenderedModel]:
    """Render each model into its folder, whole or not at all; equal views of an earlier run are kept.

    Raises UsageError for a folder with other files.
    """
    for one in requested:
        # The folder is replaced as a whole, so files of a person must not be in it.
        _check_free(one.out)
    marks = [_mark(one, settings, seed, layout) for one in requested]
    kept = [_is_done(one.out, mark) for one, mark in zip(requested, marks, strict=True)]
    # Nothing to do needs no progress bar.
    shown = SILENT if all(kept) else progress
    total, done = len(requested) * settings.views, sum(kept) * settings.views
    with RenderChild(settings) as child, shown.task("render", total=total, unit="views", done=done) as task:
        for one, mark, done_before in zip(requested, marks, kept, strict=True):
            child.watch = _count_views(task, settings.views, one.model.name)
            ok = RenderedModel(one, RenderResult(outcome=Outcome.OK), done_before=True)
            yield ok if done_before else _one(child, one, settings, seed, mark)


def _count_views(task: Task, views: int, note: str) -> Callable[[str], None]:
    """Make a callback to count a model's views on a task by their phases, at most `views`."""
    coming = iter(range(views))

    def count(phase: str) -> None:
        if phase == "encode" and next(coming, None) is not None:
            task.advance(1, note=note)

    return count


def _check_free(out: Path) -> None:
    """Check that a folder has only files of an earlier run. Raises UsageError for others."""
    if out.is_file():
        raise UsageError(f"{out}: expected a folder for views, got a file")
    found = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if others := sorted(found - {MARK, *_files(read_mark(out))}):
        raise UsageError(f"{out}: expected only files of `zero123 render`, got {others[0]}")


def _is_done(out: Path, mark: dict[str, Any]) -> bool:
    """Whether a folder already holds all requested files."""
    kept = read_mark(out)
    # The kept mark also has the results; only the inputs must be the same.
    return {name: kept.get(name) for name in mark} == mark and all((out / name).is_file() for name in _files(kept))


def _files(mark: dict[str, Any]) -> list[str]:
    files = mark.get("files")
    return [name for name in files if isinstance(name, str)] if isinstance(files, list) else []


def read_mark(folder: Path) -> dict[str, Any]:
    """Read a folder's inputs, its `files` and their `seconds` by phase; empty for a folder of other origin."""
    try:
        mark = json.loads((folder / MARK).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return mark if isinstance(mark, dict) else {}


def _mark(requested: RequestedModel, settings: RenderSettings, seed: int, layout: str) -> dict[str, Any]:
    """Collect all inputs of the views; equal marks mean equal folders."""
    sha256 = model_sha256(requested.model, requested.root)
    return {
        "model": requested.model.name,
        "sha256": sha256,
        "uid": requested.uid,
        "layout": layout,
        "views": digest_json([fingerprint(sha256, settings, settings.compat, seed), requested.uid, settings.device]),
    }


def _one(
    child: RenderChild, requested: RequestedModel, settings: RenderSettings, seed: int, mark: dict[str, Any]
) -> RenderedModel:
    with folder_beside(requested.out) as temporary:
        result = render_views(child, requested.model, requested.uid, settings, seed, temporary, root=requested.root)
        if result.outcome is Outcome.OK:
            convert_views(temporary, mark["layout"])
            files = sorted(path.name for path in temporary.iterdir())
            made = {"files": files, "path": requested.name, "seconds": result.seconds}
            text = json.dumps(mark | made, indent=2, sort_keys=True)
            write_atomically(temporary / MARK, f"{text}\n".encode())
            # Removed only now, when the new views are whole.
            shutil.rmtree(requested.out, ignore_errors=True)
            temporary.rename(requested.out)
        return RenderedModel(requested, result)
