"""Facts of an object from a sample or views.json, as words for a sheet or a page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from base.errors import Failure
from render.phases import PHASES
from report.pages.object_page import InspectedObject
from shards.layouts import Views
from shards.sample import Sample

ALARMS = {
    "transparent": "nothing seen",
    "blank": "blank",
    "single_colour": "one colour",
    "touches_border": "touches border",
    "not_finite": "no numbers",
}
"""Checks of a view, and the words for a view with a fault."""


def inspected_object(sample: Sample) -> InspectedObject:
    """Describe a sample's object. Raises Failure, with the sample's name, for facts not written by this project."""
    views = tuple(sample.image(view) for view in range(len(sample.extrinsics)))
    try:
        about, rendered = sample.facts["object"], sample.facts["render"]
        title = about.get("title") or sample.uid
        facts = {name: str(value) for name, value in about.items() if value and name not in ("uid", "title")}
        return InspectedObject(
            uid=sample.uid,
            title=title,
            views=views,
            extrinsics=sample.extrinsics,
            **{**_view_facts(rendered), "facts": {**facts, **_facts(rendered)}},
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Failure(f"{sample.shard}: {sample.uid}.json: expected facts of an object, got: {error}") from None


def inspected_views(name: str, views: Views) -> InspectedObject:
    """Describe a folder's views. Raises Failure, with its name, for a views.json not written by this project."""
    facts = {"layout": views.layout} if views.layout != "views" else {}
    try:
        return InspectedObject(
            uid=str(views.facts.get("uid", name)),
            title=name,
            views=views.images,
            extrinsics=views.extrinsics,
            **{**_view_facts(views.facts), "facts": {**facts, **_facts(views.facts)}},
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Failure(f"{name}/views.json: expected facts of rendered views, got: {error}") from None


def _view_facts(rendered: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the checks of each view, the views with faults, and the lights."""
    rows = rendered.get("views", [])
    # Older files lack some checks; a column needs a value for every view.
    names = [name for name in ("coverage", *ALARMS) if all(name in row for row in rows)]
    return {
        "view_facts": {ALARMS.get(name, name): [_words(row[name]) for row in rows] for name in names if rows},
        "marked": frozenset(index for index, row in enumerate(rows) if any(row.get(name) is True for name in ALARMS)),
        "lights": tuple(_light(light) for light in rendered.get("lights", [])),
    }


def _facts(rendered: Mapping[str, Any]) -> dict[str, str]:
    """Collect checks, lens, light, normalisation, device and versions, as far as they are known."""
    settings, versions = rendered.get("settings", {}), rendered.get("versions", {})
    facts = {name.replace("_", " "): _words(value) for name, value in rendered.get("checks", {}).items()}
    facts |= {"views to check": _alarms(rendered.get("views", []))}
    if normalised := rendered.get("normalisation"):
        facts |= {"size in file": _box(normalised["bounds"]), "scaled by": f"{normalised['scale']:.4g}"}
    if lens := rendered.get("lens"):
        facts |= {"lens": f"{lens['focal_mm']:g} mm on {lens['sensor_mm']:g} mm"}
    facts |= {name: str(settings.get(key, "")).replace("_", " ") for name, key in NAMED.items()}
    facts |= {"device": str(rendered.get("device", "")), "Blender": str(versions.get("blender", ""))}
    facts |= {"seed": str(rendered.get("seed", "")), "warnings": str(rendered.get("warnings", ""))}
    return {name: value for name, value in facts.items() if value}


NAMED = {"light": "light", "samples": "samples", "view transform": "view_transform", "pose": "pose"}


def _alarms(rows: Sequence[Mapping[str, Any]]) -> str:
    """Count the views with each fault; empty without rows."""
    counts = {words: sum(row.get(name) is True for row in rows) for name, words in ALARMS.items()}
    alarms = ", ".join(f"{count} × {words}" for words, count in counts.items() if count)
    return alarms or ("none" if rows else "")


def sort_phases(seconds: Mapping[str, float]) -> dict[str, float]:
    """Sort seconds by phase into the order of the phases."""
    known = {name: seconds[name] for name in ("fetch", *PHASES) if name in seconds}
    return {**known, **seconds}


UNITS = {"area": "W", "point": "W", "sun": "W/m²"}
"""Units of a lamp's strength, by its kind; a world has a radiance."""


def _light(light: Mapping[str, Any]) -> tuple[str, str, str, str]:
    kind = str(light["kind"])
    strength = f"{light['strength']:.4g} {UNITS.get(kind, '')}".rstrip()
    if kind not in UNITS:
        turned = f", {light['map']}, turned by {math.degrees(light['rotation_rad']):.0f}°" if light.get("map") else ""
        return kind, f"everywhere{turned}", "", strength
    return kind, ", ".join(f"{value:.2f}" for value in light["position"]), f"{light['size']:.3g}", strength


def _box(bounds: Sequence[Sequence[float]]) -> str:
    low, high = bounds
    return " × ".join(f"{most - least:.3g}" for least, most in zip(low, high, strict=True))


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1%}" if isinstance(value, float) else str(value)
