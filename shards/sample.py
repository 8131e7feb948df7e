"""One sample is one object: its facts, its views, their cameras, and every ordered pair of views.

Members are named by what follows the uid and a dot: `json`, `00.webp`, `01.webp`, …, `extrinsics.npy`, `pairs.npz`,
and of each view the passes that it was rendered with: `00.depth.npy`, ….
V is the number of views, P = G(G − 1) the number of ordered pairs of the G good ones.
"""

import json
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
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
MAX_JSON_BYTES = 1 << 20


@dataclass(frozen=True)
class Pairs:
    """Every ordered pair: `source` and `target` (P,) view numbers, `R` (P, 3, 3), `T` (P, 3), `pose` (P, 4)."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    R: NDArray[np.float64]
    T: NDArray[np.float64]
    pose: NDArray[np.float64]

    @classmethod
    def from_extrinsics(cls, extrinsics: NDArray[np.float64], good: Sequence[int]) -> "Pairs":
        """The pairs of the `good` views of cameras `extrinsics` (V, 3, 4), in source-major order."""
        source, target = ordered_pairs(good)
        rotation, translation = relative_motion(extrinsics[source], extrinsics[target])
        return cls(source, target, rotation, translation, pose_vector(extrinsics[source], extrinsics[target]))

    def find_row(self, source: int, target: int) -> int | None:
        """Where the pair (source, target) stands; None when it is not there."""
        found = np.flatnonzero((self.source == source) & (self.target == target))
        return int(found[0]) if len(found) == 1 else None


def view_suffix(view: int) -> str:
    """The member of view number `view`: `00.webp`, `01.webp`, …"""
    return f"{view:02d}.webp"


def members_from_views(folder: Path, object_facts: Mapping[str, Any]) -> dict[str, bytes]:
    """The members of the sample that a folder of rendered views makes, by suffix.

    `object_facts` needs `uid`. The facts must have no null and no empty list. Raises Failure for a folder that is not
    whole.
    """
    try:
        rendered = json.loads((folder / "views.json").read_bytes())
        extrinsics = read_npy((folder / "extrinsics.npy").read_bytes(), (None, 3, 4), np.float64)
        names = view_members(len(extrinsics), pass_names(rendered))
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
    """The members that hold what `views` views show: pictures and passes. Raises KeyError for an unknown pass."""
    return [name for view in range(views) for name in (view_suffix(view), *(pass_file(view, one) for one in passes))]


def pass_names(rendered: Mapping[str, Any]) -> list[str]:
    """The passes that lie beside each view, by what views.json says."""
    return str(rendered.get("passes", "")).split()


def good_views(rendered: Mapping[str, Any], views: int) -> list[int]:
    """Which of `views` views are good by what views.json says; all of which it says nothing are."""
    bad = {number for number, view in enumerate(rendered.get("views", ())) if view.get("bad")}
    return [view for view in range(views) if view not in bad]


def facts_json(object_facts: Mapping[str, Any], rendered: Mapping[str, Any]) -> bytes:
    """The sample's JSON: schema, uid, what is known of the object, and how it was rendered."""
    facts = {"schema": SCHEMA, "uid": object_facts["uid"], "object": dict(object_facts), "render": dict(rendered)}
    return canonical_json(facts).encode()


def replace_object_facts(members: Mapping[str, bytes], object_facts: Mapping[str, Any]) -> dict[str, bytes]:
    """The same sample with other facts about its object, for a licence or title that was corrected."""
    rendered = json.loads(members["json"])["render"]
    return {**members, "json": facts_json(object_facts, rendered)}


@dataclass(frozen=True)
class Sample:
    """A sample as read from a shard; each part is checked when it is first asked for.

    `members` maps each suffix to untrusted bytes. Every property raises DamagedSample for a missing or wrong part.
    """

    shard: str
    uid: str
    members: Mapping[str, bytes]

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What `<uid>.json` says."""
        data = self._member("json")
        try:
            facts = json.loads(data) if len(data) <= MAX_JSON_BYTES else f"{len(data)} bytes"
        except (ValueError, RecursionError) as error:
            raise self._failure("json", f"expected JSON, got: {error}") from None
        if not isinstance(facts, dict) or facts.get("uid") != self.uid or facts.get("schema") != SCHEMA:
            raise self._failure("json", f"expected facts of schema {SCHEMA} about this object, got {str(facts)[:80]!r}")
        return facts

    @cached_property
    def extrinsics(self) -> NDArray[np.float64]:
        """`cam_from_world` of every view, (V, 3, 4)."""
        return self.array("extrinsics.npy", (None, 3, 4), np.float64)

    @cached_property
    def polar_rad(self) -> list[float]:
        """The angle from +z of every view's camera."""
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
        """The numbers of the views that passed all checks which count."""
        return self._said(lambda rendered: good_views(rendered, len(self.extrinsics)))

    @cached_property
    def passes(self) -> list[str]:
        """The names of the passes that lie beside each view."""
        return self._said(pass_names)

    def read_pass(self, name: str, view: int) -> NDArray[Any]:
        """Pass `name` of a view, as `base.passes` describes it: (H, W) or (H, W, 3)."""
        if name not in self.passes or name not in PASS_FILES:
            raise self._failure("json", f"expected pass {name!r}, got {', '.join(self.passes) or 'none'}")
        suffix = pass_file(view, name)
        try:
            return decode_pass(name, self._member(suffix), self.image(view).shape[:2])
        except (BadArray, BadImage) as error:
            raise self._failure(suffix, str(error)) from None

    def image(self, view: int, hw: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """One view as uint8 RGBA, (H, W, 4), of `hw` pixels where these are given."""
        suffix = view_suffix(view)
        try:
            image = decode_rgba(self._member(suffix))
        except BadImage as error:
            raise self._failure(suffix, str(error)) from None
        if hw and (got := image.shape[:2]) != tuple(hw):
            raise self._failure(suffix, f"expected {hw[0]}×{hw[1]} pixels, got {got[0]}×{got[1]}")
        return image

    def check_members(self, expected: Set[str]) -> None:
        """Raise DamagedSample for a member that is missing, or that is not `expected`."""
        for suffix in sorted(expected ^ set(self.members)):
            raise self._failure(suffix, "expected this member" if suffix in expected else "expected no such member")

    def check_count(self, views: int) -> None:
        """Raise DamagedSample unless there are cameras of `views` views."""
        if (got := len(self.extrinsics)) != views:
            raise self._failure("extrinsics.npy", f"expected {views} views, got {got}")

    def check_good_views(self, *, views: int, hw: tuple[int, int]) -> None:
        """Decode each good view. Raises DamagedSample for another resolution than `hw` or another number of views."""
        self.check_count(views)
        for view in self.good_views:
            self.image(view, hw)

    def check(self, *, views: int, hw: tuple[int, int]) -> None:
        """Read everything once; raises DamagedSample for the first part that is missing, foreign or inconsistent."""
        if not set(self.passes) <= set(PASS_FILES):
            raise self._failure("json", f"expected passes of {', '.join(PASS_FILES)}, got {', '.join(self.passes)}")
        self.check_members({"json", "extrinsics.npy", "pairs.npz", *view_members(views, self.passes)})
        self.check_count(views)
        derived = Pairs.from_extrinsics(self.extrinsics, self.good_views)
        for name in PAIR_ARRAYS:
            if not np.allclose(getattr(self.pairs, name), getattr(derived, name), atol=1e-9):
                raise self._failure("pairs.npz", f"expected {name} to agree with extrinsics.npy")
        for problem in find_irregular_values(self.facts):
            raise self._failure("json", problem)
        for view in range(views):
            self.image(view, hw)
            for name in self.passes:
                self.read_pass(name, view)

    def array(self, suffix: str, shape: tuple[int | None, ...], dtype: DTypeLike) -> NDArray[Any]:
        """The array in a member, of exactly `shape` (None is any length) and `dtype`."""
        return self._array(suffix, self._member(suffix), shape, dtype)

    def _said(self, read: Callable[[Mapping[str, Any]], T]) -> T:
        """What `read` finds in the facts of the rendering."""
        try:
            return read(self.facts["render"])
        except (KeyError, TypeError, AttributeError) as error:
            raise self._failure("json", f"expected facts of rendered views, got none: {error}") from None

    def _member(self, suffix: str) -> bytes:
        if suffix not in self.members:
            raise self._failure(suffix, "expected this member, got none")
        return self.members[suffix]

    def _array(self, suffix: str, data: bytes, shape: tuple[int | None, ...], dtype: Any) -> NDArray[Any]:
        try:
            return read_npy(data, shape, dtype)
        except BadArray as error:
            raise self._failure(suffix, str(error)) from None

    def _failure(self, suffix: str, problem: str) -> DamagedSample:
        return DamagedSample(self.shard, self.uid, f".{suffix}: {problem}")


def json_signature(value: Any) -> Any:
    """The keys and types of a JSON value: equal for values that one table schema can hold; a list is its first item."""
    if isinstance(value, dict):
        return {key: json_signature(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [json_signature(value[0])] if value else []
    return type(value).__name__


def find_irregular_values(value: Any, path: str = "") -> list[str]:
    """Where a JSON value holds a null, an empty list, an empty mapping or a list of mixed types, as sentences."""
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
    if any(json_signature(item) != json_signature(value[0]) for item in value):
        return [f"{path}: expected items of one type, got several"]
    return [problem for item in value for problem in find_irregular_values(item, f"{path}[]")]
