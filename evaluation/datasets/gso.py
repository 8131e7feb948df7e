"""Google Scanned Objects in their own folders (Downs et al., ICRA 2022; CC-BY-4.0): meshes without views.

`NAME/meshes/model.obj`, `NAME/meshes/model.mtl`, `NAME/materials/textures/texture.png`, `NAME/metadata.pbtxt`. Metres,
z up. The material names a texture beside itself, but the picture is in `materials/textures/`.
"""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from base.digest import sha256_bytes
from base.errors import Failure
from base.storage import reason
from evaluation.datasets.base import folders_of
from evaluation.mesh_files import read_mesh
from evaluation.shapes.alignment import into_unit_cube
from evaluation.shapes.triangles import Triangles
from evaluation.truth import TrueObject

MAX_METADATA = 1 << 20
FIELD = re.compile(r'(\w+):\s*"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class GsoFacts:
    """What `metadata.pbtxt` says; empty where it is silent. `is_textured` tells of the picture in its folder."""

    name: str
    description: str
    category: str
    licence: str
    is_textured: bool


class Gso:
    """The data set in a folder with a folder for each object. Its world is centred, the longest edge is 1."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def uids(self) -> tuple[str, ...]:
        """See `DataSet.uids`. A uid is the name as a slug, with a digest where the slug loses letters."""
        return tuple(sorted(self._folders()))

    def load(self, uid: str) -> TrueObject:
        """See `DataSet.load`."""
        folder = self._folders().get(uid)
        mesh = folder / "meshes" / "model.obj" if folder else None
        if folder is None or mesh is None or not mesh.is_file():
            raise Failure(f"{uid}: expected meshes/model.obj, got no such file")
        metadata = folder / "metadata.pbtxt"
        return TrueObject(
            uid=uid,
            views=(),
            read_mesh=partial(_read_mesh, mesh),
            files=(mesh, *((metadata,) if metadata.is_file() else ())),
        )

    def facts(self, uid: str) -> GsoFacts:
        """Read what the object says of itself. Raises Failure for an unreadable file."""
        return read_facts(self._folders()[uid])

    def _folders(self) -> dict[str, Path]:
        names = folders_of(self.root, "a folder for each scanned object")
        return {uid_of(name): self.root / name for name in names if (self.root / name / "meshes").is_dir()}


def uid_of(name: str) -> str:
    """Return a uid for an object's name: the name itself if it is valid, else a slug and 8 digits of its digest."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64]
    # Two names can have the same slug, so a changed name gets a digest.
    return name if slug == name else f"{slug[:55]}_{sha256_bytes(name.encode())[:8]}"


def read_facts(folder: Path) -> GsoFacts:
    """Read `metadata.pbtxt` of an object's folder; without it the facts are empty."""
    path, fields = folder / "metadata.pbtxt", dict[str, str]()
    if path.is_file():
        try:
            # Only a few fields near the start are wanted, so a longer file is simply cut.
            text = path.read_bytes()[:MAX_METADATA].decode("utf-8", "replace")
        except OSError as error:
            raise Failure(f"{path}: expected metadata, got: {reason(error)}") from None
        # The first of each field is the object's own; later ones belong to annotations.
        for match in FIELD.finditer(text):
            fields.setdefault(match[1], match[2])
    return GsoFacts(
        name=fields.get("name", folder.name),
        description=fields.get("description", ""),
        # The category is written as `categories { first: "…" }`.
        category=fields.get("first", ""),
        licence=fields.get("license", "") or fields.get("text", ""),
        is_textured=(folder / "materials" / "textures" / "texture.png").is_file(),
    )


def _read_mesh(path: Path) -> Triangles:
    return into_unit_cube(read_mesh(path))
