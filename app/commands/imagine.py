"""`zero123 imagine`: words in; a picture, its cut-out, its views and its mesh out."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.commands.moves import AUTO, add_elevation_flag, add_move_flags, asked_cameras
from app.commands.options import add_device_flags, add_model_flag, add_settings_flags, settings_of, writable_folder
from app.commands.photo_flags import add_photo_flags, photo_settings, prepared_photo
from app.settings import Settings
from base.errors import Failure, UsageError
from base.progress import standard_progress
from inference.cameras import AskedCameras
from inference.plan import Move
from inference.sample_photo import LoadedModel, Wanted, input_camera

ORBIT = 8


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "From words to 3D: a text-to-image model paints the object, which is cut out, seen from other sides and "
        "reconstructed. Every step's files are kept, and the same command goes on where it was stopped."
    )
    parser.add_argument("words", metavar="WORDS", help='what to make, for example "a blue armchair"')
    parser.add_argument(
        "--text-model",
        required=True,
        metavar="FOLDER|HUB_ID",
        help="a diffusers text-to-image pipeline in safetensors; a hub id is fetched into the hub's cache",
    )
    add_model_flag(parser)
    add_photo_flags(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/imagine"), metavar="DIR", help="default: %(default)s")
    add_move_flags(parser)
    add_elevation_flag(parser)
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another object (default: %(default)s)")
    add_device_flags(parser)
    add_settings_flags(parser, dry_run="print the resolved settings, and do nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Paint, cut out, sample and reconstruct what is missing."""
    settings = settings_of(options)
    photo = photo_settings(options, settings.photo)
    settings = settings.model_copy(update={"photo": photo})
    if not options.words.strip():
        raise UsageError("expected words, got nothing")
    auto = options.elevation_deg == AUTO
    given = None if auto else options.elevation_deg
    elevation = settings.imagine.elevation_deg if given is None else given
    cameras = asked_cameras(options)
    # Without asked cameras, a look from all sides shows most.
    if not (cameras.moves or cameras.orbit or cameras.rig):
        cameras = replace(cameras, orbit=ORBIT)
    moves = _moves(settings, cameras, elevation)
    if options.dry_run:
        print(settings.as_yaml())
        return 0
    from app.imagining import Idea, painted_picture, views_and_mesh
    from inference.find_elevation import estimated_elevation
    from inference.models import DEFAULT, checkpoint_of, load_model
    from photo.prepare import say_warnings
    from zero123.digest import model_digest
    from zero123.text_to_image import text_model_folder

    progress = standard_progress()
    digest = model_digest(checkpoint_of(options.model))  # a model that is not there is said before anything is painted
    text_model = text_model_folder(options.text_model)
    out = writable_folder(options.out)
    idea = Idea(words=options.words.strip(), text_model=text_model, seed=options.seed, device=options.device)
    picture = painted_picture(out, idea, settings, progress)
    # The painted picture is treated like any photo: text models seldom leave a clean background.
    prepared = prepared_photo(options, photo, str(picture))
    if not prepared.has_background:
        raise Failure(f"{picture}: expected an object before a background, got no background; another --seed may help")
    say_warnings(prepared, progress)
    pipeline = load_model(options.model, options.device, settings.sample.compute)
    model = LoadedModel(pipeline=pipeline, digest=digest, source=options.model.name or DEFAULT)
    # Once more, over the model's own sampling defaults, which are known only now.
    settings = settings_of(options, pipeline.defaults).model_copy(update={"photo": photo})
    facts: dict[str, Any] = {"deg": elevation, "source": "imagine.elevation_deg" if given is None else "given"}
    if auto:
        elevation, facts = estimated_elevation(pipeline, prepared, settings, options.seed, progress)
        moves = _moves(settings, cameras, elevation)
    wanted = Wanted(moves=moves, samples=1, seed=options.seed, picture="png", alpha=False, films=())
    print(views_and_mesh(out, prepared, model, settings, wanted, (elevation, facts), progress))
    return 0


def _moves(settings: Settings, cameras: AskedCameras, elevation_deg: float) -> tuple[Move, ...]:
    return cameras.moves_from(input_camera(settings, elevation_deg), settings.photo.framing.lens())
