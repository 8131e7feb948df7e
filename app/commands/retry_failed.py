"""`zero123 retry-failed`: build again, and retry failed objects."""

import argparse

from app.commands.build import build_settings
from app.commands.options import add_settings_flags, settings_of
from base.errors import UsageError
from base.progress import standard_progress


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.description = (
        "Build as `zero123 build` does, and retry objects with these outcomes under the same settings: after a fault "
        "of the machine, or with longer deadlines or more memory. Without an outcome, retry all failed objects. "
        "For pictures, give `zero123 sample` or `reconstruct` the flag --retry."
    )
    parser.add_argument(
        "outcomes", nargs="*", metavar="OUTCOME", help="for example crash, timeout, out_of_memory (default: all)"
    )
    add_settings_flags(parser, dry_run="print the plan, and do nothing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Build, and retry objects with these outcomes."""
    from pipeline.builder import build
    from pipeline.plan.plan import FAILED

    unknown = [word for word in options.outcomes if word not in FAILED]
    if unknown:
        raise UsageError(f"expected outcomes among {', '.join(sorted(FAILED))}, got {unknown[0]!r}")
    retry = frozenset(options.outcomes) or frozenset(str(outcome) for outcome in FAILED)
    build(build_settings(settings_of(options)), standard_progress(), dry_run=options.dry_run, retry=retry)
    return 0
