"""Words to a picture, its views and its mesh: each step's files are kept, and a step that is done is not done again."""

import gc
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.reconstructing import MESH_FILE, reconstruct_into
from app.settings import Settings
from app.stages import Stages
from base.digest import sha256_file
from base.progress import Progress
from base.seeds import stable_seed
from base.storage import write_atomically
from geometry.rig import place_cameras
from inference.object_mesh import MeshRequest
from inference.sample_photo import LoadedModel, Wanted, sample_photo
from report.images import encode_image
from zero123.digest import model_digest

if TYPE_CHECKING:
    from photo.prepare import Prepared

PICTURE, RECORD = "picture.png", "picture.json"


@dataclass(frozen=True, kw_only=True)
class Idea:
    """The words, the folder of the text model that paints them, and the seed of all steps."""

    words: str
    text_model: Path
    seed: int
    device: str


def painted_picture(folder: Path, idea: Idea, settings: Settings, progress: Progress) -> Path:
    """Paint `folder`/picture.png unless it is there already from the same words, model, settings and seed; its path."""
    path, prompt = folder / PICTURE, settings.imagine.prompt.format(idea.words)
    facts = {
        "prompt": prompt,
        "text_model": idea.text_model.name,
        "text_model_digest": model_digest(idea.text_model),
        "settings": settings.imagine.model_dump(mode="json", exclude={"elevation_deg"}),
        "seed": stable_seed(idea.seed, "imagine"),
    }
    if _is_there(path, folder / RECORD, facts):
        return path
    from zero123.text_to_image import load_text_model, paint

    with progress.task("paint", total=1, unit="pictures") as task:
        pipeline = load_text_model(idea.text_model, idea.device)
        picture = paint(pipeline, prompt, settings.imagine, stable_seed(idea.seed, "imagine"))
        del pipeline  # the memory is for the next model
        gc.collect()
        task.advance(1)
    write_atomically(path, encode_image(picture, "png"))
    record = {**facts, "sha256": sha256_file(path)}
    write_atomically(folder / RECORD, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
    return path


def views_and_mesh(
    out: Path,
    photo: "Prepared",
    model: LoadedModel,
    settings: Settings,
    wanted: Wanted,
    elevation: tuple[float, dict[str, Any]],
    progress: Progress,
) -> str:
    """Make what is missing of `out`/views and `out`/mesh, and return a sentence about the mesh."""
    views = sample_photo(out / "views", photo, model, settings, wanted, elevation, progress)
    mesh = out / "mesh" / MESH_FILE

    def work() -> dict[str, Any]:
        (camera,) = place_cameras(views.plan.input_place[None])
        rgba = photo.view(model.pipeline.hw)
        request = MeshRequest(model=model, rgba=rgba, camera=camera, settings=settings, seed=wanted.seed)
        made = reconstruct_into(mesh.parent, request, settings.render, progress)
        return {"silhouette_iou": made.iou, "faces": len(made.mesh.faces)}

    stages = Stages(out)
    # A person may have deleted the mesh to have it made again.
    if not mesh.is_file():
        stages.forget("mesh")
    inputs = [views.plan.request, settings.reconstruct.model_dump(mode="json"), wanted.seed]
    record = stages.run_once("mesh", inputs, work)
    return f"silhouette IoU {record['silhouette_iou']:.3f}, {record['faces']:,} faces: {mesh}"


def _is_there(path: Path, record: Path, facts: dict[str, Any]) -> bool:
    try:
        kept = json.loads(record.read_bytes())
        return bool(kept == {**facts, "sha256": sha256_file(path)})
    except (FileNotFoundError, ValueError, RecursionError):
        return False
