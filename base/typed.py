"""JSON from outside as a dataclass, or nothing: every value of the type that its field says, none converted."""

from typing import TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def parse_typed_json(kind: type[T], text: str | bytes) -> T:
    """The `kind`, a dataclass, that the JSON describes. Raises ValueError for anything else."""
    if not isinstance(text, (str, bytes)):
        raise ValueError(f"expected JSON, got {type(text).__name__}")
    value: T = TypeAdapter(kind).validate_json(text, strict=True)
    return value
