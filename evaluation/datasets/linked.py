"""Renders of `zero123 render --layout nerf` and the models that they show, as a data set with true meshes."""

from pathlib import Path

from base.errors import Failure, UsageError
from base.storage import write_atomically
from evaluation.datasets.base import folders_of, inside, read_json_file
from evaluation.mesh_files import ply_bytes, read_mesh
from evaluation.shapes.alignment import into_unit_cube

MARK = "render.json"
MESH = "mesh.ply"
UP = {".glb": "y", ".obj": "y", ".ply": "z"}
"""The up axis with which the renderer imports a model, by suffix."""


def link_models(renders: Path, models: Path, out: Path) -> dict[str, str]:
    """Make `out`/UID with links to the files of each render, and its model as `mesh.ply` in the world of the cameras.

    `render.json` of a render names its model below `models`. Returns why objects have no mesh, by uid. Raises
    UsageError for a folder without renders, or without models.
    """
    if not models.is_dir():
        raise UsageError(f"{models}: expected the folder of the models, got no such folder")
    uids = [uid for uid in folders_of(renders, "a folder for each object") if (renders / uid / MARK).is_file()]
    if not uids:
        raise UsageError(f"{renders}: expected folders of `zero123 render --layout nerf`, got no {MARK}")
    return {uid: reason for uid in uids if (reason := _link(renders / uid, models, out / uid))}


def _link(render: Path, models: Path, folder: Path) -> str:
    """Link a render and write its mesh; return why there is no mesh, or nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in render.iterdir():
        link = folder / path.name
        if path.name != MESH and not (link.is_symlink() and link.readlink() == path.resolve()):
            link.unlink(missing_ok=True)
            link.symlink_to(path.resolve())
    try:
        model = _model_of(render, models)
        mesh = into_unit_cube(read_mesh(model, UP[model.suffix.lower()]))
        write_atomically(folder / MESH, ply_bytes(mesh))
    except Failure as error:
        (folder / MESH).unlink(missing_ok=True)
        return str(error)
    return ""


def _model_of(render: Path, models: Path) -> Path:
    """Return the file of a render's model. Raises Failure for a model that cannot be read here."""
    values = read_json_file(render / MARK)
    name = values.get("path") if isinstance(values, dict) else None
    if not isinstance(name, str):
        raise Failure(f"{render / MARK}: expected the path of a model, got something else")
    path = inside(models, name)
    if path.suffix.lower() not in UP:
        raise Failure(f"{path}: expected a model as {', '.join(UP)}, got {path.suffix or 'no suffix'}")
    return path
