"""Google Scanned Objects in their own folders (see pipeline.sources.gso): meshes without views."""

import re
from functools import partial
from pathlib import Path

from base.digest import sha256_bytes
from base.errors import Failure
from evaluation.datasets.base import folders_of
from evaluation.mesh_files import read_mesh
from evaluation.shapes.alignment import into_unit_cube
from evaluation.shapes.triangles import Triangles
from evaluation.truth import TrueObject
from pipeline.sources.gso import METADATA, MODEL, GsoFacts, read_facts


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
        mesh = folder / MODEL if folder else None
        if folder is None or mesh is None or not mesh.is_file():
            raise Failure(f"{uid}: expected meshes/model.obj, got no such file")
        metadata = folder / METADATA
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


def _read_mesh(path: Path) -> Triangles:
    return into_unit_cube(read_mesh(path))
