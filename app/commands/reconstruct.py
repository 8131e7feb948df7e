"""`zero123 reconstruct`: a picture in, a mesh out."""

import argparse
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from app.commands.moves import AUTO, elevation_or_auto
from app.commands.options import add_device_flags, add_model_flag, add_settings_flags, settings_of, writable_folder
from app.commands.photo_flags import add_photo_flags, photo_settings, prepared_photo
from app.commands.picture_flags import add_picture_flags, asked_batch, asked_dataset
from app.settings import Settings
from base.errors import UsageError
from base.progress import Progress, standard_progress
from base.settings import Section
from base.storage import write_atomically
from geometry.camera import look_at_origin
from geometry.sphere import cartesian_from_spherical
from photo.batch import BatchPicture
from reconstruct.settings import Film, MeshFormat, TurntablePass

if TYPE_CHECKING:
    from app.many_pictures import Pictures


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "A textured mesh of the object in a picture, which is cut out and framed first. By default the model samples "
        "views all around and a surface is fitted to them; --preset paper is Score Jacobian Chaining, a voxel field "
        "that is plausible to the model from everywhere. Stopped at any moment, the same command goes on."
    )
    parser.add_argument(
        "image",
        nargs="*",
        metavar="IMAGE",
        help="a picture of an object, or - for standard input; with --on ray several pictures, a folder, a pattern, or "
        "a CSV or Parquet file (columns image, mask, elevation_deg)",
    )
    add_model_flag(parser)
    add_photo_flags(parser)
    parser.add_argument(
        "--elevation-deg",
        type=elevation_or_auto,
        metavar="DEG|auto",
        help="how far above the object's middle the camera was: 0 level with it, 90 straight above; auto: the model "
        "finds it. Required, except with --dataset",
    )
    parser.add_argument(
        "--radius",
        type=float,
        default=1.85,
        metavar="R",
        help="the camera's distance in longest edges of the object (default: %(default)s)",
    )
    _add_output_flags(parser)
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    add_device_flags(parser)
    add_picture_flags(parser, here="a folder with a mesh", made="meshes and views of them")
    add_settings_flags(parser, dry_run="print the resolved settings or the plan, and do nothing")
    parser.set_defaults(run=run)


def _add_output_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of files and of what is shown during the work."""
    parser.add_argument("--out", default="runs/mesh", metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--mesh-format",
        type=some_of(MeshFormat),
        metavar="FORMAT[,FORMAT]",
        help=f"{', '.join(get_args(MeshFormat))}: files of the mesh; object.glb is always written "
        "(default: reconstruct.mesh.also)",
    )
    parser.add_argument(
        "--turntable",
        type=some_of(Film),
        metavar="FILM[,FILM]",
        help=f"{', '.join(get_args(Film))}: films of a full turn (default: reconstruct.turntable.films)",
    )
    parser.add_argument(
        "--turntable-passes",
        type=some_of(TurntablePass),
        metavar="PASS[,PASS]",
        help=f"{', '.join(get_args(TurntablePass))}: also turn these (default: reconstruct.turntable.passes)",
    )
    parser.add_argument(
        "--render",
        choices=("quick", "cycles"),
        help="draw turntables with our rasteriser, or with Blender and the lights of `render` "
        "(default: reconstruct.turntable.renderer)",
    )
    parser.add_argument(
        "--viewer", action="store_true", help="serve a page on 127.0.0.1 that follows the run; its address is printed"
    )


def some_of(kinds: Any) -> Callable[[str], tuple[str, ...]]:
    """Return a reader of comma-separated lists of the names of a Literal, for argparse."""
    known = get_args(kinds)

    def read(text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(","))
        if not set(names) <= set(known):
            raise argparse.ArgumentTypeError(f"expected any of {', '.join(known)}, separated by commas, got {text!r}")
        return names

    return read


def run(options: argparse.Namespace) -> int:
    """Reconstruct a picture, or many on Ray."""
    if not 0.6 <= options.radius <= 10.0:
        raise UsageError(f"expected --radius in [0.6, 10], got {options.radius:g}")
    many = _many(options)
    if options.on == "ray":
        from app.many_pictures import reconstruct_many

        pictures = many or [BatchPicture(source=options.image[0], name="", mask=options.mask)]
        return reconstruct_many(options, pictures, partial(asked_settings, options), standard_progress())
    if many is not None:
        raise UsageError("expected a single picture, got several: --on ray takes many")
    settings = asked_settings(options)
    if options.dry_run:
        print(settings.as_yaml())
        return 0
    from app.reconstructing import MESH_FILE, reconstruct_into
    from app.turntables import check_turntables
    from inference.find_elevation import estimated_elevation
    from inference.models import DEFAULT, checkpoint_of, load_model
    from inference.object_mesh import MeshRequest
    from inference.sample_photo import LoadedModel
    from photo.prepare import say_warnings
    from photo.shown import preparation_picture
    from reconstruct.mesh_files import check_formats
    from report.images import encode_image
    from zero123.digest import model_digest

    check_formats(settings.reconstruct.mesh.also)
    check_turntables(settings.reconstruct.turntable)

    progress = standard_progress()
    prepared = prepared_photo(options, settings.photo, options.image[0])
    if not prepared.has_background:
        raise UsageError(
            f"{prepared.photo.name}: expected an object before a transparent background, got one without "
            "(with --prepare legacy or --assume-cut-out the background is part of the object)"
        )
    say_warnings(prepared, progress)
    pipeline = load_model(options.model, options.device)
    # Once more, over the model's own sampling defaults, which are known only now.
    settings = asked_settings(options, pipeline.defaults)
    digest = model_digest(checkpoint_of(options.model))
    model = LoadedModel(pipeline=pipeline, digest=digest, source=options.model.name or DEFAULT)
    out = writable_folder(Path(options.out))
    write_atomically(out / "prepared.png", encode_image(preparation_picture(prepared, pipeline.hw), "png"))
    elevation = options.elevation_deg
    if elevation == AUTO:
        elevation, found = estimated_elevation(pipeline, prepared, settings, options.seed, progress)
        write_atomically(out / "elevation.json", (json.dumps(found, indent=2) + "\n").encode())
    polar = math.radians(90.0 - elevation)
    camera = look_at_origin(cartesian_from_spherical(polar, 0.0, options.radius))
    rgba = prepared.view(pipeline.hw)
    request = MeshRequest(model=model, rgba=rgba, camera=camera, settings=settings, seed=options.seed)
    with followed(progress, out, options) as receiver:
        made = reconstruct_into(out, request, settings.render, receiver)
    write_atomically(out / "settings.yaml", settings.as_yaml().encode())
    print(f"silhouette IoU {made.iou:.3f}, {len(made.mesh.faces):,} faces: {out / MESH_FILE}")
    return 0


def _many(options: argparse.Namespace) -> "Pictures | None":
    """Return the pictures asked for; None for a single picture."""
    if (dataset := asked_dataset(options)) is not None:
        return dataset
    if options.elevation_deg is None:
        raise UsageError("expected --elevation-deg DEG or auto, got nothing")
    return asked_batch(options)


@contextmanager
def followed(progress: Progress, out: Path, options: argparse.Namespace) -> Iterator[Progress]:
    """Yield a receiver of progress that --viewer's page shows, or `progress` itself."""
    if not options.viewer:
        yield progress
        return
    from web.follow import following

    with following(progress, out) as (receiver, address):
        progress.say(f"the run's page: {address}")
        yield receiver


def asked_settings(options: argparse.Namespace, model_sampling: Section | None = None) -> Settings:
    """Return the settings that the flags ask for, over the sampling defaults of a known model."""
    settings = settings_of(options, model_sampling)
    photo = photo_settings(options, settings.photo)
    photo = photo.model_copy(update={"framing": photo.framing.model_copy(update={"radius": options.radius})})
    section = settings.reconstruct
    if options.mesh_format is not None:
        section = section.model_copy(update={"mesh": section.mesh.model_copy(update={"also": options.mesh_format})})
    flags = {"films": options.turntable, "passes": options.turntable_passes, "renderer": options.render}
    given = {name: value for name, value in flags.items() if value is not None}
    section = section.model_copy(update={"turntable": section.turntable.model_copy(update=given)})
    return settings.model_copy(update={"photo": photo, "reconstruct": section})
