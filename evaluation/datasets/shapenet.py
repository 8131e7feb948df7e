"""ShapeNetCore v2 and v1 in their own folders: meshes without views.

`SYNSET/MODEL/models/model_normalized.obj` (v2) or `SYNSET/MODEL/model.obj` (v1); synsets have 8 digits. y up, −z front,
centred, with a box diagonal of 1. Meshes are soups with holes and inner faces, so parity is no reliable inside.
"""

import re
from functools import partial
from pathlib import Path

from base.errors import Failure, UsageError
from evaluation.datasets.base import UID, folders_of
from evaluation.mesh_files import read_mesh
from evaluation.truth import TrueObject

SYNSET = re.compile(r"\d{8}")
FILES = ("models/model_normalized.obj", "model.obj")


class ShapeNet:
    """The data set in a folder. A uid is `SYNSET-MODEL`. Its world is z up, at the scale of the files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def uids(self) -> tuple[str, ...]:
        """See `DataSet.uids`."""
        synsets = [name for name in folders_of(self.root, "folders of ShapeNet's synsets") if SYNSET.fullmatch(name)]
        if not synsets:
            raise UsageError(f"{self.root}: expected folders of 8 digits, as ShapeNet's synsets, got others")
        found = (f"{synset}-{path.name}" for synset in synsets for path in sorted((self.root / synset).iterdir()))
        return tuple(uid for uid in found if UID.fullmatch(uid) and self._mesh(uid) is not None)

    def load(self, uid: str) -> TrueObject:
        """See `DataSet.load`."""
        mesh = self._mesh(uid)
        if mesh is None:
            raise Failure(f"{uid}: expected {FILES[0]}, got no such file")
        return TrueObject(uid=uid, views=(), read_mesh=partial(read_mesh, mesh, "y"), files=(mesh,))

    def _mesh(self, uid: str) -> Path | None:
        synset, _, model = uid.partition("-")
        if not SYNSET.fullmatch(synset) or not UID.fullmatch(model):
            return None
        return next((path for name in FILES if (path := self.root / synset / model / name).is_file()), None)
