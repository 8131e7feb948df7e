"""Objects from a folder of model files, with an optional OBJECTS.csv of licences and authors."""

from contextlib import suppress
from pathlib import Path

from base.digest import digest_json, sha256_file
from base.errors import UsageError
from base.progress import Progress
from pipeline.catalog.objects import SourceObject, uid_of
from pipeline.sources.fact_tables import facts_by_name, table_in
from pipeline.sources.model_files import find_models, path_text
from pipeline.sources.table import facts_of
from render.formats.refused import Refused
from render.formats.registry import model_files
from render.formats.roots import Root

FACTS_FILE = "OBJECTS.csv"


def folder_objects(folder: Path, progress: Progress) -> list[SourceObject]:
    """Return all model files below `folder`, by relative path; without a digest if the file is unreadable.

    Raises UsageError for a folder that is missing, unreadable or without models, and for an unusable OBJECTS.csv.
    """
    if not folder.is_dir():
        raise UsageError(f"objects.folder: expected a folder of models, got {path_text(folder)}, which is no folder")
    try:
        paths = find_models(folder, progress, passed_over=FACTS_FILE)
    except UsageError as error:
        raise UsageError(f"objects.folder: {error}") from None
    table = table_in(folder, FACTS_FILE)
    facts = facts_by_name(table, "path", paths, progress) if table is not None else {}
    return [_object(folder, name, facts.get(name, {})) for name in paths]


def model_sha256(path: Path, root: Root | None = None) -> str:
    """Return the SHA-256 of a model file in hexadecimal digits. With companions, it covers their digests too. Raises
    OSError."""
    try:
        others = dict(model_files(path, root).files)
    # The renderer meets the same refusal and names it; here the digest of the file itself is enough.
    except Refused:
        others = {}
    # The file's own digest alone is kept for models without companions: it is the digest that other tools state.
    own = sha256_file(path)
    parts = {name: sha256_file(file) for name, file in others.items()}
    return digest_json([own, parts], length=64) if parts else own


def _object(folder: Path, name: str, facts: dict[str, str]) -> SourceObject:
    path = folder / name
    sha256 = ""
    with suppress(OSError):  # the worker meets the same error, and so this object ends
        sha256 = model_sha256(path, Root.of_folder(folder))
    return SourceObject(
        uid=uid_of(Path(name).stem, name),
        source="folder",
        location=str(path.absolute()),
        sha256=sha256,
        title=facts.get("title") or Path(name).stem.replace("_", " "),
        **facts_of(facts),
    )
