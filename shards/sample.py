"""A sample is an object: its facts, its views, their cameras, and every ordered pair of good views.

A member's suffix is its name after the uid and a dot: `json`, `00.webp`, `01.webp`, …, `extrinsics.npy`, `pairs.npz`,
and the passes of each view: `00.depth.npy`, …. Views sampled from a picture also have the prepared picture,
`input.webp`. V is the number of views, and P = G(G − 1) the number of ordered pairs
of G good views.
"""

import json
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import DTypeLike, NDArray

from base.digest import canonical_json
from base.errors import Failure
from base.passes import PASS_FILES, pass_file
from geometry.relative import ordered_pairs, polar_angle, pose_vector, relative_motion
from shards.arrays import BadArray, npy_bytes, npz_bytes, npz_members, read_npy
from shards.damage import DamagedSample
from shards.image import BadImage, decode_rgba
from shards.passes import decode_pass

T = TypeVar("T")
SCHEMA = 1
PAIR_ARRAYS = ("source", "target", "R", "T", "pose")
INPUT = "input.webp"
MAX_JSON_BYTES = 1 << 20


@dataclass(frozen=True)
class Pairs:
    """Every ordered pair of good views: view numbers `source` and `target`, and their relative views."""

    source: Int64[NDArray[np.int64], " P"]
    target: Int64[NDArray[np.int64], " P"]
    R: Float64[NDArray[np.float64], "P 3 3"]
    T: Float64[NDArray[np.float64], "P 3"]
    pose: Float64[NDArray[np.float64], "P 4"]

    @classmethod
    def from_extrinsics(cls, extrinsics: Float64[NDArray[np.float64], "V 3 4"], good: Sequence[int]) -> "Pairs":
        """Derive the pairs of the `good` views, in source-major order."""
        source, target = ordered_pairs(good)
        rotation, translation = relative_motion(extrinsics[source], extrinsics[target])
        return cls(source, target, rotation, translation, pose_vector(extrinsics[source], extrinsics[target]))

    def find_row(self, source: int, target: int) -> int | None:
        """Find the row of a pair; None unless the pair is stored exactly once."""
        found = np.flatnonzero((self.source == source) & (self.target == target))
        return int(found[0]) if len(found) == 1 else None


def view_suffix(view: int) -> str:
    """Return the suffix of a view's picture: `00.webp`, `01.webp`, …"""
    return f"{view:02d}.webp"


def members_from_views(folder: Path, object_facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Make a sample's members, by suffix, from a folder of rendered views.

    `object_facts` needs `uid`. Facts must not contain nulls or empty lists. Raises Failure for an incomplete folder.
    """
    try:
        rendered = json.loads((folder / "views.json").read_bytes())
        extrinsics = read_npy((folder / "extrinsics.npy").read_bytes(), (None, 3, 4), np.float64)
        names = [*view_members(len(extrinsics), pass_names(rendered)), *input_members(rendered)]
        seen = {name: (folder / name).read_bytes() for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise Failure(f"{folder.name}: expected a folder of rendered views, got: {error}") from None
    return {
        "json": facts_json(object_facts, rendered),
        "extrinsics.npy": npy_bytes(extrinsics),
        "pairs.npz": npz_bytes(vars(Pairs.from_extrinsics(extrinsics, good_views(rendered, len(extrinsics))))),
        **seen,
    }


def view_members(views: int, passes: Sequence[str]) -> list[str]:
    """List the suffixes of `views` views: pictures and passes. Raises KeyError for an unknown pass."""
    return [name for view in range(views) for name in (view_suffix(view), *(pass_file(view, name) for name in passes))]


def pass_names(rendered: Mapping[str, Any]) -> list[str]:
    """List the passes of each view according to views.json."""
    return str(rendered.get("passes", "")).split()


def input_members(rendered: Mapping[str, Any]) -> list[str]:
    """List the suffix of the input of sampled views according to views.json; nothing for rendered views."""
    return [INPUT] if rendered.get("input") == INPUT else []


def good_views(rendered: Mapping[str, Any], views: int) -> list[int]:
    """List the good views among `views` according to views.json. Views without a mark are good."""
    bad = {number for number, view in enumerate(rendered.get("views", ())) if view.get("bad")}
    return [view for view in range(views) if view not in bad]


def facts_json(object_facts: Mapping[str, Any], rendered: Mapping[str, Any]) -> bytes:
    """Encode a sample's JSON: schema, uid, facts about the object and facts about its rendering."""
    facts = {"schema": SCHEMA, "uid": object_facts["uid"], "object": dict(object_facts), "render": dict(rendered)}
    return canonical_json(facts).encode()


def replace_object_facts(members: Mapping[str, bytes], object_facts: Mapping[str, Any]) -> dict[str, bytes]:
    """Replace the facts about a sample's object, for example after a correction of its licence or title."""
    rendered = json.loads(members["json"])["render"]
    return {**members, "json": facts_json(object_facts, rendered)}


@dataclass(frozen=True)
class Sample:
    """A sample as read from a shard. Each part is checked on first use.

    `members` maps each suffix to untrusted bytes. Every property raises DamagedSample for a missing or wrong part.
    """

    shard: str
    uid: str
    members: Mapping[str, bytes]

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The content of `<uid>.json`."""
        data = self._member("json")
        try:
            facts = json.loads(data) if len(data) <= MAX_JSON_BYTES else f"{len(data)} bytes"
        except (ValueError, RecursionError) as error:
            raise self._failure("json", f"expected JSON, got: {error}") from None
        if not isinstance(facts, dict) or facts.get("uid") != self.uid or facts.get("schema") != SCHEMA:
            raise self._failure("json", f"expected facts of schema {SCHEMA} about this object, got {str(facts)[:80]!r}")
        return facts

    @cached_property
    def extrinsics(self) -> Float64[NDArray[np.float64], "V 3 4"]:
        """`cam_from_world` of every view."""
        return self.array("extrinsics.npy", (None, 3, 4), np.float64)

    @cached_property
    def polar_rad(self) -> list[float]:
        """The polar angle of every view's camera, from +z."""
        return polar_angle(self.extrinsics).tolist()  # type: ignore[no-any-return]

    @cached_property
    def pairs(self) -> Pairs:
        """Every ordered pair of good views, as stored."""
        try:
            arrays = npz_members(self._member("pairs.npz"), PAIR_ARRAYS)
        except BadArray as error:
            raise self._failure("pairs.npz", str(error)) from None
        good = len(self.good_views)
        count = good * (good - 1)
        shapes = {"source": (), "target": (), "R": (3, 3), "T": (3,), "pose": (4,)}
        return Pairs(
            **{
                name: self._array("pairs.npz", arrays[name], (count, *rest), np.float64 if rest else np.int64)
                for name, rest in shapes.items()
            }
        )

    @cached_property
    def good_views(self) -> list[int]:
        """The numbers of the views without a failed check."""
        return self._read_render_facts(lambda rendered: good_views(rendered, len(self.extrinsics)))

    @cached_property
    def passes(self) -> list[str]:
        """The names of the passes of each view."""
        return self._read_render_facts(pass_names)

    def read_pass(self, name: str, view: int) -> NDArray[Any]:
        """Decode pass `name` of a view, as described in `base.passes`: (H, W) or (H, W, 3)."""
        if name not in self.passes or name not in PASS_FILES:
            raise self._failure("json", f"expected pass {name!r}, got {', '.join(self.passes) or 'nothing'}")
        suffix = pass_file(view, name)
        try:
            return decode_pass(name, self._member(suffix), self.image(view).shape[:2])
        except (BadArray, BadImage) as error:
            raise self._failure(suffix, str(error)) from None

    def image(self, view: int, hw: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Decode a view to uint8 RGBA (H, W, 4). With `hw`, other resolutions are damage."""
        return self._picture(view_suffix(view), hw)

    def input(self) -> NDArray[np.uint8] | None:
        """Decode the prepared picture of sampled views, uint8 RGBA (H, W, 4); None for rendered views."""
        return self._picture(INPUT, None) if self._read_render_facts(input_members) else None

    def _picture(self, suffix: str, hw: tuple[int, int] | None) -> NDArray[np.uint8]:
        try:
            image = decode_rgba(self._member(suffix))
        except BadImage as error:
            raise self._failure(suffix, str(error)) from None
        if hw and (got := image.shape[:2]) != tuple(hw):
            raise self._failure(suffix, f"expected {hw[0]}×{hw[1]} pixels, got {got[0]}×{got[1]}")
        return image

    def check_members(self, expected: Set[str]) -> None:
        """Raise DamagedSample for a missing or unexpected member."""
        for suffix in sorted(expected ^ set(self.members)):
            raise self._failure(suffix, "expected this member" if suffix in expected else "expected no such member")

    def check_count(self, views: int) -> None:
        """Raise DamagedSample unless there are `views` cameras."""
        if (got := len(self.extrinsics)) != views:
            raise self._failure("extrinsics.npy", f"expected {views} views, got {got}")

    def check_good_views(self, *, views: int, hw: tuple[int, int]) -> None:
        """Decode each good view. Raises DamagedSample for another resolution than `hw` or another number of views."""
        self.check_count(views)
        for view in self.good_views:
            self.image(view, hw)

    def check(self, *, views: int, hw: tuple[int, int]) -> None:
        """Read every part once. Raises DamagedSample for the first missing, unexpected or inconsistent part."""
        if not set(self.passes) <= set(PASS_FILES):
            raise self._failure("json", f"expected passes of {', '.join(PASS_FILES)}, got {', '.join(self.passes)}")
        inputs = self._read_render_facts(input_members)
        self.check_members({"json", "extrinsics.npy", "pairs.npz", *view_members(views, self.passes), *inputs})
        self.check_count(views)
        # Readers trust the stored pairs, so a check derives them once more.
        derived = Pairs.from_extrinsics(self.extrinsics, self.good_views)
        for name in PAIR_ARRAYS:
            # Another machine may have rounded the last digits differently.
            if not np.allclose(getattr(self.pairs, name), getattr(derived, name), atol=1e-9):
                raise self._failure("pairs.npz", f"expected {name} to agree with extrinsics.npy")
        for problem in find_irregular_values(self.facts):
            raise self._failure("json", problem)
        for suffix in inputs:
            self._picture(suffix, None)
        for view in range(views):
            self.image(view, hw)
            for name in self.passes:
                self.read_pass(name, view)

    def array(self, suffix: str, shape: tuple[int | None, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Decode the array in a member, of exactly `shape` (None is any length) and `dtype`."""
        return self._array(suffix, self._member(suffix), shape, dtype)

    def _read_render_facts(self, read: Callable[[Mapping[str, Any]], T]) -> T:
        """Apply `read` to the facts about the rendering."""
        try:
            return read(self.facts["render"])
        except (KeyError, TypeError, AttributeError) as error:
            raise self._failure("json", f"expected facts of rendered views, got nothing: {error}") from None

    def _member(self, suffix: str) -> bytes:
        if suffix not in self.members:
            raise self._failure(suffix, "expected this member, got nothing")
        return self.members[suffix]

    def _array(self, suffix: str, data: bytes, shape: tuple[int | None, ...], dtype: Any) -> NDArray[Any]:
        try:
            return read_npy(data, shape, dtype)
        except BadArray as error:
            raise self._failure(suffix, str(error)) from None

    def _failure(self, suffix: str, problem: str) -> DamagedSample:
        return DamagedSample(self.shard, self.uid, f".{suffix}: {problem}")


def json_signature(value: Any) -> Any:
    """Describe the keys and types of a JSON value, a list by its first item. Equal signatures fit a table schema."""
    if isinstance(value, dict):
        return {key: json_signature(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [json_signature(value[0])] if value else []
    return type(value).__name__


def find_irregular_values(value: Any, path: str = "") -> list[str]:
    """Describe each null, empty list, empty mapping and list of mixed types in a JSON value."""
    if value is None:
        return [f"{path}: expected a value, got null"]
    if isinstance(value, dict):
        found = [
            problem
            for key, item in value.items()
            for problem in find_irregular_values(item, f"{path}.{key}".lstrip("."))
        ]
        return found if value else [f"{path}: expected keys, got an empty mapping"]
    if not isinstance(value, list):
        return []
    if not value:
        return [f"{path}: expected values, got an empty list"]
    # Table readers, such as Hugging Face's `datasets`, infer a type from the first sample and fail at another.
    if any(json_signature(item) != json_signature(value[0]) for item in value):
        return [f"{path}: expected items of the same type, got several"]
    return [problem for item in value for problem in find_irregular_values(item, f"{path}[]")]
