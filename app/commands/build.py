"""`zero123 build`: objects in, a versioned dataset out."""

import argparse

from app.commands.options import add_settings_flags, settings_of
from app.settings import Settings
from base.progress import standard_progress


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Bring the dataset at storage.root up to date with the objects and settings: fetch and render new or changed "
        "objects, pack them into shards, record them, and make a version. Run it again to go on after a stop. It does "
        "nothing when nothing has changed."
    )
    add_settings_flags(parser, dry_run="print the resolved settings and the plan, and do nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Build, or print the plan of a build."""
    from pipeline.builder import build

    settings = settings_of(options)
    if options.dry_run:
        print(settings.as_yaml())
    # A dry run makes the real plan and stops before any work, so both always agree.
    build(build_settings(settings), standard_progress(), dry_run=options.dry_run)
    return 0


def build_settings(settings: Settings) -> "BuildSettings":  # type: ignore[name-defined]  # noqa: F821
    """Select the sections for a build."""
    from pipeline.builder import BuildSettings

    return BuildSettings(
        storage=settings.storage,
        objects=settings.objects,
        run=settings.run,
        render=settings.render,
        shards=settings.shards,
    )
