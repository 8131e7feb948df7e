"""The page of `zero123 inspect`: the contents of an object, a shard or a folder."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geometry.camera import camera_centre
from geometry.sphere import spherical_from_cartesian
from report.bars import Bar, BarRow, bar_table
from report.camera_sphere import camera_sphere
from report.contact_sheet import contact_sheet
from report.escape import fill
from report.images import Pixels, image_uri
from report.numbers import seconds_text
from report.page import Page, render_template

CELL_PX = 200
PIXELS_PER_PAGE = 6_000_000
SMALLEST_CELL_PX = 72


@dataclass(frozen=True, kw_only=True)
class InspectedObject:
    """An object: `views` uint8 (H, W, 4), `extrinsics` (V, 3, 4), and facts about it and its views.

    `facts` are shown as a table (licence, author, sha256, outcome …); `view_facts` name → one value per view
    (coverage, checks …); `marked` views deserve a look; `lights` are rows of (kind, position, size, strength);
    `seconds` are by phase. All text may come from outside.
    """

    uid: str
    title: str
    views: tuple[Pixels, ...]
    extrinsics: NDArray[np.float64]
    facts: Mapping[str, str]
    view_facts: Mapping[str, Sequence[str]]
    marked: Collection[int] = ()
    lights: Sequence[tuple[str, str, str, str]] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def object_page(title: str, objects: Sequence[InspectedObject], *, kicker: str, facts: Mapping[str, str]) -> str:
    """Write a self-contained HTML page of objects; `facts` (versions, digests) go to its foot.

    Sheets shrink as objects are added, to keep the page small. Raises ValueError when an object's views, cameras and
    view facts differ in number.
    """
    page = Page(title, kicker=kicker, lead=_lead(objects))
    views = sum(len(shown.views) for shown in objects)
    # A fixed number of pixels for all views together bounds the page's size.
    cell_px = min(CELL_PX, max(SMALLEST_CELL_PX, int((PIXELS_PER_PAGE / max(views, 1)) ** 0.5)))
    for shown in objects:
        _object(page, shown, cell_px)
    page.footer(facts, "This page is a single file. It loads nothing, and it works without a network.")
    return page.html()


def _lead(objects: Sequence[InspectedObject]) -> str:
    views = sum(len(shown.views) for shown in objects)
    return f"{len(objects)} {_plural('object', len(objects))}, {views} {_plural('view', views)}."


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


def _object(page: Page, shown: InspectedObject, cell_px: int) -> None:
    counts = {len(shown.views), len(shown.extrinsics), *(len(values) for values in shown.view_facts.values())}
    if len(counts) != 1 or not shown.views:
        raise ValueError(
            f"{shown.uid}: expected equally many views, cameras and view facts, at least 1, got {sorted(counts)}"
        )
    section = page.section(shown.title, shown.uid if shown.uid != shown.title else "")
    labels = [str(index) for index in range(len(shown.views))]
    sheet = contact_sheet(shown.views, labels=labels, columns=6, cell_px=cell_px, marked=shown.marked)
    uri = image_uri(sheet, quality=88)
    alt = f"{shown.title} from {len(shown.views)} sides, numbered as its cameras"
    section.figure(fill('<img src="{}" alt="{}">', uri, alt), css_class="stage")
    label = f"The {len(shown.extrinsics)} cameras around {shown.title}"
    sphere = camera_sphere(shown.extrinsics, label=label, highlighted=shown.marked)
    about = render_template(
        "table.html.j2", head=("Fact", "Value"), rows=list(shown.facts.items()), label=f"Facts of {shown.title}"
    )
    section.columns(fill('<figure class="panel">{}</figure>', sphere), about, css_class="columns facts")
    section.table(("View", *_camera_head(), *shown.view_facts), _view_rows(shown), label=f"The views of {shown.title}")
    if shown.lights:
        section.table(("Light", "Place", "Size", "Strength"), shown.lights, label=f"What lights {shown.title}")
    if shown.seconds:
        rows = [BarRow(name, (Bar(value, seconds_text(value)),)) for name, value in shown.seconds.items()]
        section.add(bar_table(("Phase", "Seconds"), rows, label=f"What {shown.title} took, by phase"))


def _camera_head() -> tuple[str, str, str]:
    return "Azimuth", "Elevation", "Radius"


def _view_rows(shown: InspectedObject) -> list[tuple[str, ...]]:
    polar, azimuth, radius = spherical_from_cartesian(camera_centre(shown.extrinsics))
    return [
        (
            str(index),
            f"{np.degrees(azimuth[index]):.1f}°",
            f"{90.0 - np.degrees(polar[index]):.1f}°".replace("-", "\N{MINUS SIGN}"),
            f"{radius[index]:.3f}",
            *(str(values[index]) for values in shown.view_facts.values()),
        )
        for index in range(len(shown.views))
    ]
