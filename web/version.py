"""The version that the server tells."""

from importlib.metadata import PackageNotFoundError, version


def _version() -> str:
    try:
        return version("zero123-factory")
    except PackageNotFoundError:
        return "not installed"


VERSION = _version()
