"""The `zero123` command: a subcommand for each stage, and `demo` for the whole chain."""

import argparse
import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from base.errors import Failure
from base.text import replace_controls

COMMANDS = {
    "build": "render objects and pack the views into a versioned dataset",
    "render": "views of a model's file, without a dataset",
    "retry-failed": "build again, and retry failed objects",
    "status": "the state of a dataset, and the progress of its builder",
    "versions": "the contents of each version of a dataset",
    "diff": "what changed between two versions of a dataset",
    "restore": "make an earlier version of a dataset the newest again",
    "export": "a version of a dataset in another layout, for other tools",
    "verify": "check every file of a dataset",
    "vacuum": "remove files that no kept version of a dataset needs",
    "cache": "store the latents of a model's frozen encoders for a dataset",
    "train": "train a model on a dataset",
    "sample": "new views of the object in a picture",
    "serve": "a page in the browser: a photo in, views and a mesh out",
    "imagine": "words to a picture, its views and its mesh",
    "reconstruct": "a mesh of the object in a picture",
    "evaluate": "measure a model's novel views against the true views",
    "benchmark": "any method under a published protocol: predictions in, tables out",
    "paper-tables": "the four tables of the Zero-1-to-3 paper, over your folders",
    "models": "public models by name, their licences, and what is here",
    "convert": "weights from a public layout to another",
    "inspect": "a picture and a page of a dataset, an object, a shard, rendered views or a model",
    "demo": "the whole chain on eight small objects, with a report",
}
INTERRUPTED = 130
TERMINATED, HUNG_UP = 143, 129
FOR_PEOPLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
)
"""I/O errors of a path, a disk or missing rights. Other I/O errors are faults of ours and keep their traceback."""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived: the same clean stop as Ctrl-C, with another exit code."""


class HungUp(KeyboardInterrupt):
    """The terminal is gone, as when `ray submit` is stopped: a clean stop without a message."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns 0 for success, 1 for failure, 2 for wrong usage, 129, 130 or 143 after a stop."""
    try:
        # First of all, so that a stop during the slow imports is clean too.
        signal.signal(signal.SIGTERM, _terminate)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # `nohup` has it ignored
            signal.signal(signal.SIGHUP, _hang_up)
        parser = _parser()
        words = list(sys.argv[1:] if arguments is None else arguments)
        _load_command(parser, words)
        options = parser.parse_args(words)
        return int(options.run(options))
    except Failure as failure:
        return _fail(str(failure), failure.exit_code)
    except KeyboardInterrupt as stop:
        code = {Terminated: TERMINATED, HungUp: HUNG_UP}.get(type(stop), INTERRUPTED)
        return _fail("stopped; what is done is kept, and the same command goes on from there", code)
    except BrokenPipeError:
        # `| head` closes the pipe early; without this, Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in FOR_PEOPLE:
            raise
        # base.storage loads slowly, and until this module is loaded Ctrl-C would print a traceback.
        from base.storage import error_path, reason

        return _fail(f"{error_path(error) or 'a file'}: {reason(error)}", 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zero123",
        description="From a photo of an object to new views and a mesh, and everything needed to make such a "
        "model: rendered data, shards, training, sampling, reconstruction, evaluation.",
        epilog="`zero123 COMMAND --help` says more; `zero123 demo` shows the whole chain.",
    )
    parser.add_argument("--version", action="version", version=_version())
    return parser


def _load_command(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Register every command by name, but import only the requested command, because torch and Ray load slowly."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    # The first word that is no flag is the command; flags before it are those of `zero123` itself.
    asked = next((word for word in words if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name == asked:
            importlib.import_module(f"app.commands.{name.replace('-', '_')}").configure(command)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"zero123 {version('zero123-factory')}"
    except PackageNotFoundError:
        return f"zero123 (not installed, run from {Path(__file__).parents[1]})"


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def _hang_up(_number: int, _frame: FrameType | None) -> NoReturn:
    nowhere = os.open(os.devnull, os.O_RDWR)
    # Writing to a terminal that is gone raises an error and would hide the clean stop.
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    raise HungUp


def _fail(sentence: str, code: int) -> int:
    print("\n".join(f"zero123: {replace_controls(line)}" for line in sentence.splitlines()), file=sys.stderr)
    return code
