"""The entry point of the `zero123` command: check for shadowed packages, then run `app.main`."""

import sys

from zero123.own_packages import check_own_packages


def main() -> int:
    """Run the command. Returns its exit code, or 1 with a sentence when another module shadows one of ours."""
    try:
        check_own_packages()
    except ImportError as error:
        sys.stderr.write(f"zero123: {error}\n")
        return 1
    # Only after the check: importing a stranger's `base` would fail with a misleading traceback.
    from app.main import main as run

    return run()
