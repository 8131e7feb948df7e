"""Objects from a folder of model files, with an optional OBJECTS.csv that says whose they are."""

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

from base.digest import digest_json, sha256_file
from base.errors import UsageError
from base.progress import Progress
from base.storage import reason
from base.text import replace_surrogates
from pipeline.catalog.objects import SourceObject, uid_of
from pipeline.sources.fact_tables import facts_by_name, table_in
from pipeline.sources.table import facts_of
from render.formats.refused import Refused
from render.formats.registry import CHECKS, model_files
from render.formats.roots import Root

FACTS_FILE = "OBJECTS.csv"
MODEL_SUFFIXES = frozenset(
    {
        ".glb",
        ".gltf",
        ".vrm",
        ".obj",
        ".stl",
        ".ply",
        ".fbx",
        ".usd",
        ".usda",
        ".usdc",
        ".usdz",
        ".dae",
        ".blend",
        ".abc",
    }
)
"""Files that are meant as models; whether one can be rendered is the renderer's word, not this list's."""


def folder_objects(folder: Path, progress: Progress) -> list[SourceObject]:
    """Every model file below `folder`, in order of its relative path; without a digest when it cannot be read.

    Raises UsageError for a folder that is missing, unreadable or without models, and for an OBJECTS.csv that cannot be
    read or names a path twice.
    """
    if not folder.is_dir():
        raise UsageError(f"objects.folder: expected a folder of models, got {folder}, which is no folder")
    paths = _model_paths(folder, progress)
    table = table_in(folder, FACTS_FILE)
    facts = facts_by_name(table, "path", paths, progress) if table is not None else {}
    return [_object(folder, name, facts.get(name, {})) for name in paths]


def model_sha256(path: Path, root: Root | None = None) -> str:
    """Hexadecimal SHA-256 of a model file; of one that needs other files, of its digest and theirs. Raises OSError."""
    try:
        others = dict(model_files(path, root).files)
    except Refused:
        others = {}
    own = sha256_file(path)
    parts = {name: sha256_file(file) for name, file in others.items()}
    return digest_json([own, parts], length=64) if parts else own


def _model_paths(folder: Path, progress: Progress) -> list[str]:
    names, others = [], Counter[str]()
    for parent, folders, files in os.walk(folder, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            relative = (Path(parent) / name).relative_to(folder).as_posix()
            if Path(name).suffix.lower() in MODEL_SUFFIXES and not name.startswith("."):
                if problem := _problem(folder / relative):
                    progress.say(f"{folder}: {relative!a} is left out: {problem}")
                else:
                    names.append(relative)
            elif relative.casefold() != FACTS_FILE.casefold():
                others[Path(name).suffix.lower() or name] += 1
    if not names:
        kinds = ", ".join(sorted(CHECKS))
        raise UsageError(f"objects.folder: expected models ({kinds}) in {folder}, got {others.total()} other files")
    if others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(others.items()))
        progress.say(f"{folder}: {len(names)} models; other files are left out: {kinds}")
    return sorted(names)


def _problem(path: Path) -> str:
    """Why something with a model's name cannot be one; empty where it can."""
    with suppress(PermissionError):  # that is how its object ends
        if not path.is_file():
            return "expected a file, got a link to nothing or something that is no file"
    return "" if replace_surrogates(str(path)) == str(path) else "expected a name in UTF-8"


def _unreadable(error: OSError) -> None:
    raise UsageError(f"objects.folder: expected a readable folder, got {error.filename}: {reason(error)}")


def _object(folder: Path, name: str, facts: dict[str, str]) -> SourceObject:
    path = folder / name
    sha256 = ""
    with suppress(OSError):  # whoever is to render it meets the same, which is how this object ends
        sha256 = model_sha256(path, Root.of_folder(folder))
    return SourceObject(
        uid=uid_of(Path(name).stem, name),
        source="folder",
        location=str(path.absolute()),
        sha256=sha256,
        title=facts.get("title") or Path(name).stem.replace("_", " "),
        **facts_of(facts),
    )
