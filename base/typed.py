"""Parse JSON from outside as a dataclass. Every value must have its field's type; nothing is converted."""

from typing import TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def parse_typed_json(kind: type[T], text: str | bytes) -> T:
    """Parse `text` as the dataclass `kind`. Raises ValueError for anything else."""
    if not isinstance(text, (str, bytes)):
        raise ValueError(f"expected JSON, got {type(text).__name__}")
    value: T = TypeAdapter(kind).validate_json(text, strict=True)
    return value
