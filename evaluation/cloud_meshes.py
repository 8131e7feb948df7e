"""Meshes beside the clouds of a prediction folder, made by Point-E's network, kept as soon as they are there."""

import json
from pathlib import Path

from base.digest import digest_json, sha256_file
from base.errors import Failure
from base.progress import Progress
from base.storage import write_atomically
from evaluation.datasets.base import UID
from evaluation.mesh_files import find_mesh, ply_bytes
from evaluation.point_clouds import CLOUD_SUFFIXES, read_cloud
from evaluation.point_e import PointESdf, cloud_mesh
from evaluation.predictions import Predictions

RECORD = "point-e.json"
"""In `meshes`: for each object made here the digest of its cloud, the network and the grid."""


def mesh_clouds(predictions: Predictions, network: PointESdf, grid_size: int, progress: Progress) -> dict[str, str]:
    """Write `meshes/UID.ply` for each cloud of a folder; return the reasons of clouds without a mesh.

    Meshes of the same cloud, network and grid are kept. So are meshes that were not made here.
    """
    folder = predictions.root / "meshes"
    made, reasons = _read_record(folder / RECORD), dict[str, str]()
    clouds = {
        path.stem: path
        for path in sorted((predictions.root / "clouds").glob("*"))
        if path.suffix in CLOUD_SUFFIXES and UID.fullmatch(path.stem)
    }
    with progress.task("mesh", total=len(clouds), unit="objects") as task:
        for uid, path in clouds.items():
            digest = digest_json([sha256_file(path), network.sha256, grid_size])
            mesh = find_mesh(folder / uid)
            # A mesh without a record is the method's own.
            if mesh is None or (uid in made and made[uid] != digest):
                try:
                    data = ply_bytes(cloud_mesh(network, read_cloud(path)[0], grid_size))
                except (Failure, ValueError) as error:
                    reasons[uid] = str(error)
                else:
                    write_atomically(folder / f"{uid}.ply", data)
                    made[uid] = digest
                    write_atomically(folder / RECORD, f"{json.dumps(made, indent=1, sort_keys=True)}\n".encode())
            task.advance(note=uid)
    return reasons


def _read_record(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(uid): str(digest) for uid, digest in found.items()} if isinstance(found, dict) else {}
