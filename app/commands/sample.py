"""`zero123 sample`: a picture and camera moves in, the object seen from there out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.batch import run_batch
from app.commands.moves import AUTO, add_elevation_flag, add_move_flags, asked_cameras
from app.commands.options import add_device_flags, add_model_flag, add_settings_flags, settings_of, writable_folder
from app.commands.photo_flags import add_photo_flags, photo_settings, prepared_photo
from app.commands.picture_flags import add_picture_flags, asked_batch, asked_dataset
from app.settings import Settings
from base.errors import UsageError
from base.progress import Progress, standard_progress
from base.settings import Section
from inference.plan import Move
from inference.sample_photo import LoadedModel, Wanted, input_camera, sample_photo
from photo.batch import BatchPicture

if TYPE_CHECKING:
    from app.many_pictures import Pictures
    from inference.views_folder import ViewsFolder
    from photo.prepare import Prepared

FILMS = ("mp4", "webm", "webp")
MAX_SAMPLES = 64
LEVEL = 0.0
"""The elevation that moves are checked with before the model has found it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = "New views of the object in a picture, which is cut out and framed as in the training views."
    parser.add_argument(
        "image",
        nargs="*",
        metavar="IMAGE",
        help="a picture of an object, or - for standard input; several pictures, a folder, a pattern ('photos/*.jpg') "
        "or a CSV or Parquet file (columns image, name, mask, elevation_deg) make a folder of views for each",
    )
    add_model_flag(parser)
    add_photo_flags(parser)
    parser.add_argument("--out", default="runs/views", metavar="DIR", help="default: %(default)s")
    add_move_flags(parser)
    add_elevation_flag(parser)
    _add_output_flags(parser)
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another guess (default: %(default)s)")
    add_device_flags(parser)
    parser.add_argument(
        "--sampler",
        choices=("ddim", "unipc", "dpmsolver++"),
        help="how noise becomes a view; the last two need fewer steps, see --preset fast (default: the model's own)",
    )
    add_picture_flags(parser, here="a folder of files for each picture", made="views")
    add_settings_flags(parser, dry_run="print the resolved settings and the moves or the plan, and do nothing")
    parser.set_defaults(run=run)


def _add_output_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--samples", type=int, default=1, metavar="N", help="guesses for each view, a row of sheet.png (default: 1)"
    )
    group.add_argument("--alpha", action="store_true", help="take the white background away: RGBA pictures")
    group.add_argument("--picture", choices=("png", "webp"), help="of the views (default: png)")
    group.add_argument(
        "--film",
        choices=FILMS,
        action="append",
        default=[],
        help="also the views in order as orbit.mp4, .webm or .webp (animated); may be repeated",
    )


def run(options: argparse.Namespace) -> int:
    """Sample the views that are missing, then write cameras, contact sheet and films, for each picture."""
    dataset = asked_dataset(options)
    # A dataset's pictures are listed later, by reading it.
    batch = None if dataset else asked_batch(options)
    if not 1 <= options.samples <= MAX_SAMPLES:
        raise UsageError(f"--samples: expected 1 to {MAX_SAMPLES}, got {options.samples}")
    request = SampleRequest(options, standard_progress())
    if dataset is not None:
        # Impossible moves are told before the model is loaded.
        request.moves(LEVEL)
        return _on_ray(dataset, request)
    # A single picture has no name: its views go into --out itself.
    single = BatchPicture(source=options.image[0], name="", mask=options.mask)
    # Of all pictures before the first is sampled: an impossible move is told at once.
    asked = [(picture, request.moves(request.elevation_of(picture, LEVEL))) for picture in batch or [single]]
    if options.on == "ray":
        return _on_ray(batch or [single], request)
    if options.dry_run:
        print(request.settings.as_yaml())
        for picture, moves in asked:
            print(f"{picture.source}:")
            print("\n".join(f"move: {move.label}" for move in moves))
        return 0
    if batch is not None:
        return run_batch(batch, Path(options.out), request, request.progress)
    prepared = request.prepare(single)
    views = request.sample(request.load(), prepared, single, Path(options.out))
    print(f"{len(views.plan.jobs())} views: {options.out}")
    return 0


def _on_ray(pictures: "Pictures", request: "SampleRequest") -> int:
    from app.many_pictures import sample_many

    return sample_many(request.options, pictures, request.cameras, request.asked_settings, request.progress)


class SampleRequest:
    """What the command's flags ask for, for any picture."""

    def __init__(self, options: argparse.Namespace, progress: Progress) -> None:
        self.options, self.progress = options, progress
        self.settings = self.asked_settings()
        self.photo = self.settings.photo
        self.cameras = asked_cameras(options)

    def prepare(self, picture: BatchPicture) -> "Prepared":
        """Read and cut out a picture. Raises Failure with what is wrong with it."""
        from photo.prepare import say_warnings

        prepared = prepared_photo(self.options, self.photo, picture.source, mask=picture.mask)
        say_warnings(prepared, self.progress)
        return prepared

    def load(self) -> LoadedModel:
        """Load the model, and lay its sampling defaults below the flags."""
        from inference.models import checkpoint_of, load_model
        from zero123.digest import model_digest

        choice = self.options.model
        pipeline = load_model(choice, self.options.device, self.settings.sample.compute)
        checkpoint = checkpoint_of(choice)
        self.settings = self.asked_settings(pipeline.defaults)
        if self.options.samples > 1 and self.settings.sample.steps == 1:
            self.progress.say("--samples: guesses in a single step are alike; --set sample.steps=20 makes them differ")
        return LoadedModel(pipeline=pipeline, digest=model_digest(checkpoint), source=choice.name or str(checkpoint))

    def asked_settings(self, model_sampling: Section | None = None) -> Settings:
        """Return the settings that the flags ask for, over the sampling defaults of a known model."""
        settings = settings_of(self.options, model_sampling)
        return settings.model_copy(update={"photo": photo_settings(self.options, settings.photo)})

    def sample(self, model: LoadedModel, photo: "Prepared", picture: BatchPicture, folder: Path) -> "ViewsFolder":
        """Make the views of a picture that its folder lacks."""
        elevation, facts = self._elevation(model, photo, picture)
        options = self.options
        wanted = Wanted(
            moves=tuple(self.moves(elevation)),
            samples=options.samples,
            seed=options.seed,
            picture=options.picture or "png",
            alpha=options.alpha,
            films=tuple(options.film),
        )
        out = writable_folder(folder)
        return sample_photo(out, photo, model, self.settings, wanted, (elevation, facts), self.progress)

    def elevation_of(self, picture: BatchPicture, unknown: float | None) -> float | None:
        """Return the elevation that the picture's row or the flag gives, `unknown` for `auto`, None without either."""
        given = self.options.elevation_deg if picture.elevation_deg is None else picture.elevation_deg
        return unknown if given == AUTO else given

    def moves(self, elevation_deg: float | None) -> list[Move]:
        """Return the camera moves from a picture at that elevation. Raises UsageError for impossible ones."""
        origin = input_camera(self.settings, elevation_deg)
        return list(self.cameras.moves_from(origin, self.photo.framing.lens()))

    def _elevation(
        self, model: LoadedModel, photo: "Prepared", picture: BatchPicture
    ) -> tuple[float | None, dict[str, Any]]:
        """Return the elevation of the photo's camera, None if unknown, and the entry of views.json about it."""
        if picture.elevation_deg is None and self.options.elevation_deg == AUTO:
            from inference.find_elevation import estimated_elevation

            return estimated_elevation(model.pipeline, photo, self.settings, self.options.seed, self.progress)
        given = self.elevation_of(picture, None)
        if given is None:
            # Relative moves need no elevation, but camera matrices need some height.
            return None, {"deg": 0.0, "source": "assumed, for the cameras' matrices alone"}
        return given, {"deg": given, "source": "given"}
