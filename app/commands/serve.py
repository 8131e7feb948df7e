"""`zero123 serve`: a page in the browser, and an HTTP API."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.options import add_settings_flags, settings_of, writable_folder
from app.settings import Settings
from base.errors import UsageError
from inference.models import DEFAULT, ModelChoice

if TYPE_CHECKING:
    from inference.sample_photo import LoadedModel


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "A page in the browser: drop a photo, correct its cut-out, turn the camera, take the views and the mesh along. "
        "The page's own HTTP API is at /api, described by /api/openapi.json."
    )
    parser.add_argument(
        "--model",
        action="append",
        dest="models",
        metavar="NAME|FOLDER|FILE.ckpt|HUB_ID",
        help="a model to offer, see `zero123 sample --help`; may be repeated, the first is the usual one "
        "(default: mini, the packaged model)",
    )
    parser.add_argument("--accept-licence", action="store_true", help="fetch models that forbid commercial use")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=7860, help="0 for a free port (default: %(default)s)")
    parser.add_argument(
        "--token",
        action="store_true",
        help="demand a token: that of the environment variable ZERO123_TOKEN, or a new one, printed with the link",
    )
    parser.add_argument("--public", action="store_true", help="serve every client on the network of --host")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/served"), metavar="DIR", help="photos and results, until they expire"
    )
    parser.add_argument(
        "--browse",
        action="append",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="also show these datasets, evaluations and training runs, or all of them in a folder; read only",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")
    add_settings_flags(parser, dry_run="print the resolved settings, and do nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    settings = settings_of(options)
    if options.dry_run:
        print(settings.as_yaml())
        return 0
    try:
        from web.app import make_app
        from web.browse.shelf import make_shelf
        from web.run import Address, link_of, listen, run_until_stopped
        from web.service import ModelSource, Service
    except ImportError as error:
        raise UsageError(
            f"serve: expected the package {error.name}, got nothing: `pip install -c constraints.txt -e '.[serve]'`"
        ) from None
    address = Address(options.host, options.port, token=options.token, public=options.public)
    access = address.access()
    shelf = make_shelf([folder for folders in options.browse for folder in folders])
    # Before the model is loaded: a port in use is told at once.
    opened = listen(address)
    models = ModelSource(
        options.models or [DEFAULT],
        load=lambda name: _load(options, settings, name),
        # Each model brings its own sampling defaults, laid below the flags.
        sample_for=lambda defaults: settings_of(options, defaults).sample,
    )
    service = Service(settings, models, writable_folder(options.folder), shelf)
    # The link is printed only when the server can answer.
    service.warm_up()
    print(f"zero123 serves {', '.join(models.names)}: {link_of(opened, access)}", flush=True)
    app = make_app(service, access)
    run_until_stopped(app, opened, service.open_requests, lambda line: print(f"zero123: {line}", file=sys.stderr))
    return 0


def _load(options: argparse.Namespace, settings: Settings, name: str) -> "LoadedModel":
    from inference.models import checkpoint_of, load_model
    from inference.sample_photo import LoadedModel
    from zero123.digest import model_digest

    choice = replace(ModelChoice(), name=name, accept_licence=options.accept_licence)
    pipeline = load_model(choice, options.device, settings.sample.compute)
    return LoadedModel(pipeline=pipeline, digest=model_digest(checkpoint_of(choice)), source=name)
