"""Google Scanned Objects in their own folders, as published (Downs et al., ICRA 2022; CC-BY-4.0).

`NAME/meshes/model.obj` with `model.mtl`, `NAME/materials/textures/texture.png`, `NAME/metadata.pbtxt`, and
`NAME/model.config`. Metres, z up. The material names a texture beside itself, but the picture is in
`materials/textures/`.
"""

import html
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from base.digest import digest_json
from base.errors import Failure, UsageError
from base.parallel import map_in_threads
from base.progress import Progress
from base.storage import reason
from base.text import replace_controls, replace_surrogates
from pipeline.catalog.objects import SourceObject, uid_of
from pipeline.sources.folder import model_sha256
from pipeline.sources.model_files import path_text
from render.formats.roots import Root

SOURCE = "gso"
MODEL, TEXTURE = Path("meshes", "model.obj"), Path("materials", "textures", "texture.png")
METADATA, CONFIG = "metadata.pbtxt", "model.config"
MAX_METADATA = 1 << 20
THREADS = 8
FIELD = re.compile(r'(\w+):\s*"((?:[^"\\]|\\.)*)"')
AUTHOR = re.compile(r"<author>\s*<name>([^<]*)</name>")


@dataclass(frozen=True)
class GsoFacts:
    """What an object's own files say; empty where they are silent. `is_textured` tells of the picture in its folder."""

    name: str
    description: str
    category: str
    licence: str
    author: str
    is_textured: bool


def gso_objects(folder: Path, progress: Progress) -> list[SourceObject]:
    """Return an object for each scan in `folder`, by name; without a digest if a file is unreadable.

    Raises UsageError for a folder without scans, and for the folder of a single scan.
    """
    if not folder.is_dir():
        raise UsageError(f"objects.gso: expected a folder with a folder for each scan, got {path_text(folder)}")
    if (folder / MODEL).is_file():
        raise UsageError(
            f"objects.gso: expected a folder for each scan, got that of a single scan: {path_text(folder)}"
        )
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    scans = [path for path in folders if (path / MODEL).is_file() and replace_surrogates(path.name) == path.name]
    if not scans:
        raise UsageError(
            f"objects.gso: expected NAME/{MODEL.as_posix()} in {path_text(folder)}, got {len(folders)} other folders"
        )
    if others := [replace_surrogates(path.name) for path in folders if path not in scans]:
        progress.say(f"{path_text(folder)}: left out, without {MODEL.as_posix()}: {', '.join(others[:5])}")
    with progress.task("list", total=len(scans), unit="scans") as task:
        objects = []
        # Digests wait for the disk, and hashing releases Python's lock.
        for item in map_in_threads(_object, scans, THREADS):
            objects.append(item)
            task.advance(1, note=item.title)
    return objects


def scan_sha256(model: Path) -> str:
    """Return the digest of a scan's model with its material and texture. Raises OSError."""
    # The same files as objects of `folder` are y up: other views, so another digest.
    return digest_json(["z up", model_sha256(model, scan_root(model))], length=64)


def scan_root(model: Path) -> Root:
    """Return the folder of a scan: its model is in `meshes`, its texture elsewhere."""
    return Root.of_folder(model.parent.parent)


def read_facts(folder: Path) -> GsoFacts:
    """Read `metadata.pbtxt` and `model.config` of a scan's folder. Raises Failure for an unreadable file."""
    fields = dict[str, str]()
    # The first of each field is the object's own; later ones belong to annotations.
    for match in FIELD.finditer(_text(folder / METADATA)):
        fields.setdefault(match[1], re.sub(r"\\(.)", r"\1", match[2]))
    author = AUTHOR.search(_text(folder / CONFIG))
    return GsoFacts(
        name=fields.get("name", folder.name),
        description=fields.get("description", ""),
        # The category is written as `categories { first: "…" }`.
        category=fields.get("first", ""),
        licence=fields.get("license", "") or fields.get("text", ""),
        author=html.unescape(author[1]).strip() if author else "",
        is_textured=(folder / TEXTURE).is_file(),
    )


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        # Only a few fields near the start are wanted, so a longer file is simply cut.
        with path.open("rb") as stream:
            return stream.read(MAX_METADATA).decode("utf-8", "replace")
    except OSError as error:
        raise Failure(f"{path}: expected facts about a scan, got: {reason(error)}") from None


def _object(folder: Path) -> SourceObject:
    model, facts, sha256 = folder / MODEL, read_facts(folder), ""
    with suppress(OSError):  # the worker meets the same error, and so this object ends
        sha256 = scan_sha256(model)
    return SourceObject(
        uid=uid_of(folder.name, folder.name),
        source=SOURCE,
        location=str(model.absolute()),
        sha256=sha256,
        title=replace_controls(facts.name).replace("_", " "),
        author=replace_controls(facts.author),
        licence=replace_controls(facts.licence),
        category=replace_controls(facts.category),
    )
