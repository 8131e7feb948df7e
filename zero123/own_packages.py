"""Notice when another package shadows a generically named package of this project.

`base`, `train` or `app` are also common names of users' own modules. Python imports the first it finds, and the failure
would then name a missing submodule instead of the cause.
"""

from importlib.util import find_spec
from pathlib import Path

PACKAGES = (
    *("base", "geometry", "render", "shards", "report", "pipeline", "train", "reconstruct", "evaluation", "app"),
    *("photo", "inference", "web"),
)
ROOT = Path(__file__).parents[1]


def check_own_packages() -> None:
    """Raise ImportError, with the file in a sentence, when another module shadows a package of this project."""
    for name in PACKAGES:
        # Found without importing: the other package's code must not run.
        spec = find_spec(name)
        expected = ROOT / name / "__init__.py"
        found = Path(spec.origin) if spec is not None and spec.origin is not None else None
        if found is None or found.resolve() != expected.resolve():
            raise ImportError(
                f"expected the package {name!r} of zero123 at {expected}, got {found or 'nothing'}: "
                "rename that file, or run from another folder"
            )
