"""Data files in YAML, shipped under a name or given by the user, checked into a dataclass."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from base.digest import canonical_json
from base.errors import UsageError
from base.settings import read_yaml

T = TypeVar("T")
MAX_BYTES = 1 << 20


def read_named(kind: type[T], name: str, folder: Path, what: str) -> T:
    """Read the `kind`, a dataclass, that `name` means: a YAML file of `folder` by its stem, else a path.

    `what` begins every sentence about the name itself. Raises UsageError for an unknown name, and with file, line and
    key for a file with a mistake.
    """
    return read_data_file(kind, find_named_file(name, folder, what))


def find_named_file(name: str, folder: Path, what: str) -> Path:
    """Return the file that `name` means, see `read_named`. Raises UsageError for an unknown name."""
    shipped = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if name in shipped:
        return shipped[name]
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return path
    raise UsageError(f"{what}: expected {', '.join(shipped)} or a YAML file, got {name!r}")


def read_data_file(kind: type[T], path: Path) -> T:
    """Read the `kind`, a dataclass, from a YAML file. Raises UsageError with file, line and key for a mistake."""
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path}: expected at most {MAX_BYTES >> 20} MiB, got {path.stat().st_size} bytes")
    except OSError as error:
        raise UsageError(f"{path}: expected a readable YAML file, got: {error.strerror}") from None
    values = read_yaml(path)
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(path.read_text(encoding="utf-8"))):
        raise UsageError(f"{path}: expected YAML without aliases (*name), got some")  # they may unfold without end
    try:
        # YAML has dates, sets and binary values; JSON has not.
        text = canonical_json(values)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: expected numbers, text, lists and mappings, got: {error}") from None
    try:
        # As JSON, where a list may fill a tuple, but text never fills a number.
        checked: T = TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        keys = tuple(mistake["loc"])
        expected = mistake["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        got = "" if mistake["type"] == "value_error" else f", got {_short(mistake)}"
        where = f"{path}:{_line(path, keys)}: {'.'.join(map(str, keys)) or '(top)'}"
        raise UsageError(f"{where}: expected {_in_yaml(mistake['type'], expected)}{got}") from None
    return checked


def _in_yaml(kind: str, expected: str) -> str:
    words = {"unexpected_keyword_argument": "no such key", "missing": "a value", "dataclass_type": "a mapping"}
    return words.get(kind, {"an object": "a mapping", "a valid array": "a list"}.get(expected, expected))


def _short(mistake: Mapping[str, Any]) -> str:
    text = "nothing" if mistake["type"] == "missing" else repr(mistake["input"])
    return text if len(text) <= 60 else f"{text[:57]}..."


def _line(path: Path, keys: tuple[str | int, ...]) -> int:
    """Return the line, from 1, of the deepest node of a YAML file on the way of `keys`."""
    node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = 1 if node is None else node.start_mark.line + 1
    for key in keys:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((name, value) for name, value in node.value if name.value == str(key)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            found = (node.value[key], node.value[key])
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line
