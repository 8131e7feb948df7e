"""Strict settings: read once from YAML, checked by the model of each folder, and frozen.

An error gives the dotted path of the key, what was expected there and what was got.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from base.digest import digest_json
from base.errors import UsageError
from base.text import replace_surrogates

S = TypeVar("S", bound="Section")
Keys: TypeAlias = tuple[str | int, ...]

NULLS = ("", "~", "null", "Null", "NULL")
IN_YAML = {"an object": "a mapping", "a valid array": "a list"}
"""YAML's words for what pydantic calls by JSON's words; `object` means a 3D model in this project."""


class Section(BaseModel):
    """The settings of a folder. Frozen; an unknown key or a value of another type is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())

    def digest(self) -> str:
        """Return 16 hexadecimal digits that depend on every value of this section."""
        return digest_json(self.model_dump(mode="json"))


class _DoubledKey(Exception):
    """A mapping has a key twice. The text says which key, in which lines."""


class _Loader(yaml.SafeLoader):
    """Refuses a doubled key. PyYAML keeps the last value and drops the others in silence."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Here and not where values are made: merging (`<<`) adds keys to a node that the file does not repeat.
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines = dict[tuple[str, str], int]()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line, name = key.start_mark.line + 1, (key.tag, key.value)
            if name in lines:
                raise _DoubledKey(f"line {line}: expected {key.value!r} once, got it again after line {lines[name]}")
            lines[name] = line
        return node


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file.

    Raises UsageError if it is missing, unreadable, not YAML, not a mapping at the top, or has a key twice in a mapping.
    """
    try:
        value = _load(path.read_text(encoding="utf-8"))
    except _DoubledKey as error:
        raise UsageError(f"{path}: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: expected a readable YAML file, got: {error.strerror}") from None
    except (
        yaml.YAMLError,
        ValueError,
        RecursionError,
    ) as error:  # ValueError: the 45th of a month, invalid UTF-8
        raise UsageError(f"{path}: expected YAML, got: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path}: expected a mapping at the top, got {type(value).__name__}")
    return value


def _load(text: str) -> Any:
    return yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge `above` into a copy of `below`, mapping by mapping. Lists and scalars are replaced whole."""
    result = dict(below)
    for key, value in above.items():
        both_mappings = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merge(result[key], value) if both_mappings else value
    return result


def parse_overrides(assignments: Iterable[str], model: type[Section]) -> dict[str, Any]:
    """Parse `--set a.b=1` assignments to settings of `model` into a nested mapping. Later assignments win.

    Values are YAML, but the value of a setting that is a text is that text, unless it is quoted: YAML would drop what
    follows ` #`, and read `[1]` and `2024-01-01` as other things.
    """
    result: dict[str, Any] = {}
    for assignment in assignments:
        dotted, equals, text = assignment.partition("=")
        keys = dotted.split(".")
        if not equals or not all(keys):
            raise UsageError(f"--set: expected section.key=value, got {assignment!r}")
        if replace_surrogates(text) != text:
            raise UsageError(f"--set {dotted}: expected a value in UTF-8, got {_short(text)}")
        # By the type of the setting: `--set storage.root=2024` names a folder, not a number.
        literal = _text_value(text, _type_of(model, keys))
        value: Any = literal if literal is not None else _yaml_value(dotted, text)
        for key in reversed(keys):
            value = {key: value}
        result = merge(result, value)
    return result


def _yaml_value(dotted: str, text: str) -> Any:
    try:
        return _load(text)
    except _DoubledKey as error:
        raise UsageError(f"--set {dotted}: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: the 45th of a month, 5000 digits
        raise UsageError(f"--set {dotted}: expected a YAML value, got {_short(text)}") from None


def _text_value(text: str, kind: Any) -> str | None:
    """The literal value of a setting of type `kind`; None where YAML is to decide: other types, quotes, null."""
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    is_null = type(None) in options and text.strip() in NULLS
    if is_null or not any(option is str or _is_choice_of_texts(option) for option in options):
        return None
    is_quoted = text.strip()[:1] in ("'", '"') and text.strip()[:1] == text.strip()[-1:]
    return None if is_quoted else text.strip()


def _is_choice_of_texts(kind: Any) -> bool:
    return get_origin(kind) is Literal and all(isinstance(choice, str) for choice in get_args(kind))


def _type_of(model: type[BaseModel], keys: Sequence[str]) -> Any:
    """The type of the setting at a dotted path; None for a path that is no setting, which validation reports."""
    kind: Any = model
    for key in keys:
        is_section = isinstance(kind, type) and issubclass(kind, BaseModel)
        field = kind.model_fields.get(key) if is_section else None
        kind = field.annotation if field is not None else None
    return kind


@dataclass(frozen=True)
class Layer:
    """Some settings and their origin: a file, a preset or the command line."""

    source: str
    values: Mapping[str, Any]

    def decides(self, path: Keys) -> bool:
        """Whether this layer sets the value at `path`. Mappings merge; other values also decide all keys below."""
        value: Any = self.values
        for part in path:
            if not isinstance(value, Mapping):
                return True
            if part not in value:
                return False
            value = value[part]
        return True


def validate(model: type[S], *layers: Layer) -> S:
    """Merge the layers, lowest first, and check the result as a `model`.

    Values are checked as JSON: a list may fill a tuple, but "1" never fills an int. Raises UsageError with a line for
    each mistake: source, dotted path, expected, got.
    """
    values: dict[str, Any] = {}
    for layer in layers:
        values = merge(values, layer.values)
    try:
        foreign = next(_foreign(values), None)
    except RecursionError:
        raise UsageError(f"{layers[-1].source}: expected settings, got a value that holds itself") from None
    if foreign:
        path, value = foreign
        raise UsageError(f"{_source(path, layers)}: {_dotted_path(path)}: expected a setting, got {_short(value)}")
    try:
        # Through JSON, because strict Python input would refuse a list for a tuple.
        return model.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise UsageError("\n".join(_sentence(mistake, layers) for mistake in error.errors(include_url=False))) from None


def _foreign(value: Any, path: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Yield the paths and values that JSON cannot hold: a date, a key other than text, a NaN."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _foreign(inner, (*path, key)) if isinstance(key, str) else [((*path, str(key)), key)]
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _foreign(inner, (*path, index))
    elif not (value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))):
        yield path, value


def _source(path: Keys, layers: Sequence[Layer]) -> str:
    return next((layer.source for layer in reversed(layers) if layer.decides(path)), layers[0].source)


def _dotted_path(path: Keys) -> str:
    return ".".join(str(part) for part in path) or "(top)"


def _sentence(mistake: Any, layers: Sequence[Layer]) -> str:
    kind, got = mistake["type"], mistake["input"]
    path, source = _dotted_path(mistake["loc"]), _source(mistake["loc"], layers)
    if kind == "extra_forbidden":
        return f"{source}: {path}: expected no such key, got {_short(got)}"
    if kind == "missing":
        return f"{source}: {path}: expected a value, got nothing"
    expected = mistake["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{source}: {path}: expected {IN_YAML.get(expected, expected)}, got {_short(got)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
