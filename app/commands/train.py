"""`zero123 train`: a dataset in, a model out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.options import add_settings_flags, settings_of, writable_folder
from app.settings import Settings
from base.progress import format_duration, standard_progress
from base.storage import Storage, write_atomically

if TYPE_CHECKING:
    from train.spec import TrainSummary


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Train on a version of the dataset at storage.root, train.version, streaming from its shards. Checkpoints are "
        "written on the way, and on Ctrl-C and SIGTERM (within 25 s with --on ray); the same command goes on from the "
        "newest checkpoint. Several GPUs of a machine: torchrun --nproc-per-node 8 -m app train …"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/model"),
        metavar="DIR",
        help="folder for checkpoints and the log (default: %(default)s)",
    )
    parser.add_argument(
        "--on",
        choices=("here", "ray"),
        default="here",
        help="here: a single process, or the processes of torchrun; ray: the ranks of train.ray, on run.address or a "
        "local Ray (default: %(default)s)",
    )
    add_settings_flags(parser, dry_run="print the resolved settings, and do nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train to the last image."""
    settings = settings_of(options)
    if options.dry_run:
        print(settings.as_yaml())
        return 0
    out = writable_folder(options.out)
    summary = _train(settings, out, on_ray=options.on == "ray")
    # Every rank of torchrun runs this; one line is enough.
    if summary.first:
        print(f"{summary.images:,} images in {format_duration(summary.seconds)}: {summary.checkpoint}")
    return 0


def _train(settings: Settings, out: Path, *, on_ray: bool) -> "TrainSummary":
    from train.loop import train
    from train.spec import TrainSpec

    # Called when training really begins, so that a refused run leaves no settings behind.
    def begin() -> None:
        write_atomically(out / "settings.yaml", settings.as_yaml().encode())

    spec = TrainSpec(settings.model, settings.train, Storage(settings.storage.root), out, settings.sample.sampling())
    if not on_ray:
        return train(spec, standard_progress(), begin)
    from pipeline.cluster import ray_for
    from train.ray_train import train_on_ray

    # The local Ray must be large enough for the ranks, whatever a build would ask for.
    wanted = settings.train.ray
    with ray_for(settings.run.model_copy(update={"workers": wanted.ranks, "cpus_per_worker": wanted.cpus_per_rank})):
        return train_on_ray(spec, standard_progress(), begin)
