"""The report of a build run, a self-contained page written from `BuildFacts`."""

import time
from collections.abc import Sequence

from markupsafe import Markup

from report.bars import Bar, BarRow, bar_table
from report.contact_sheet import contact_sheet
from report.curves import Series, line_chart
from report.escape import fill
from report.images import Pixels, image_uri
from report.numbers import count_text, seconds_text
from report.page import Metric, Page, Picture, picture, render_template
from report.pages.build_facts import BuildFacts, FailureGroup, SampleViews

CHART_WH = (1060.0, 300.0)
HERO_COLUMNS, VIEW_COLUMNS = 8, 4
SHEETS = 4
QUALITY = 88
UNITS = (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0), ("seconds", 1.0))


def build_page(facts: BuildFacts) -> str:
    """Write the report as self-contained HTML."""
    words = facts.words
    page = Page(f"{words.command.title()} of {facts.dataset}", kicker=f"zero123 {words.command}", lead=_lead(facts))
    if facts.pictured:
        first = [shown.views[0] for shown in facts.pictured]
        page.hero(
            _stage(
                first,
                HERO_COLUMNS,
                f"The first view of some of the {words.item}s",
                fill("The first views of {}s of this run, {} of them.", words.item, len(first)),
            )
        )
    page.metrics(*_headline(facts))
    # A run without attempts has no rates, and dividing by them would fail.
    if facts.attempts:
        _pace(page, facts)
        _outcomes(page, facts)
        _failures(page, facts)
        _faults(page, facts)
        _time(page, facts)
    if facts.pictured or facts.missing:
        _views(page, facts)
    _plan(page, facts)
    page.footer(_footer(facts), "This page is a single file. It loads nothing, and it works without a network.")
    return page.html()


def _lead(facts: BuildFacts) -> Markup:
    holds = fill("The newest version is {}.", facts.version) if facts.version else Markup("There is no version yet.")
    if not facts.attempts:
        return fill("This run {} nothing: all views that it needed were there. {}", facts.words.done, holds)
    machines = "one machine" if facts.machine_count == 1 else f"{count_text(facts.machine_count)} machines"
    return fill(
        "{} of {} {}s ended well in {}, on {}. {} {}",
        count_text(facts.ok),
        count_text(facts.objects),
        facts.words.item,
        seconds_text(facts.wall_s),
        machines,
        _verdict(facts),
        holds,
    )


def _verdict(facts: BuildFacts) -> str:
    failed = facts.objects - facts.ok
    if not failed:
        return f"No {facts.words.item} failed."
    worst = max((outcome for outcome in facts.outcomes if outcome != "ok"), key=lambda one: facts.outcomes[one])
    share = 100.0 * failed / facts.objects
    return f"{count_text(failed)} did not ({share:.2g} %), most often with {worst}."


def _headline(facts: BuildFacts) -> list[Metric]:
    if not facts.attempts:
        return []
    name, seconds = _rate_unit(facts)
    rate = facts.objects / max(facts.wall_s, 1e-9) * seconds
    return [
        Metric(count_text(facts.ok), f"{facts.words.item}s ended well", f"of {count_text(facts.objects)} tried"),
        Metric(f"{rate:.3g}", f"{facts.words.item}s a {name}", "from first to last attempt"),
        Metric(seconds_text(facts.worker_s / facts.attempts), "an attempt", "mean, of a worker"),
        Metric(seconds_text(facts.worker_s), "of workers’ time", "all attempts together"),
        Metric(
            count_text(facts.attempts), "attempts", f"{count_text(facts.attempts - facts.objects)} were second tries"
        ),
    ]


def _rate_unit(facts: BuildFacts) -> tuple[str, float]:
    """Choose minutes if at least an object was done in each, else hours."""
    per_minute = facts.objects / max(facts.wall_s, 1e-9) * 60.0
    return ("minute", 60.0) if per_minute >= 1.0 else ("hour", 3600.0)


def _pace(page: Page, facts: BuildFacts) -> None:
    # The largest unit of which the run took at least two.
    unit, unit_s = next((one for one in UNITS if facts.wall_s >= 2.0 * one[1]), UNITS[-1])
    name, per_s = _rate_unit(facts)
    middle = [(one.start + facts.pace_s / 2 - facts.began) / unit_s for one in facts.pace]
    lines = [
        Series(label, middle, [getattr(one, field) / facts.pace_s * per_s for one in facts.pace])
        for label, field in (("ended well", "ok"), ("failed", "failed"))
    ]
    chart = line_chart(
        lines, label="Throughput over the run", x_label=f"{unit} since the first attempt",
        y_label=f"{facts.words.item}s a {name}", wh=CHART_WH,
    )  # fmt: skip
    section = page.section("Throughput", f"Attempts that ended, counted every {seconds_text(facts.pace_s)}.")
    section.figure(chart, css_class="panel")


def _outcomes(page: Page, facts: BuildFacts) -> None:
    section = page.section(f"How the {facts.words.item}s ended", "Each once, by its last attempt in this run.")
    rows = [
        BarRow(name, (Bar(count, f"{count_text(count)} ({100.0 * count / facts.objects:.3g} %)"),), strong=name == "ok")
        for name, count in facts.outcomes.items()
    ]
    section.add(bar_table(["Outcome", f"{facts.words.item.title()}s"], rows, label="By outcome"))


def _failures(page: Page, facts: BuildFacts) -> None:
    if not facts.failures:
        page.section("Failures", "None.")
        return
    section = page.section(
        "Failures",
        "By outcome and phase, the most frequent first, with examples. Open an example to see the end of "
        f"{facts.words.program}’s output. The catalogue’s attempts hold all of them.",
    )
    for group in facts.failures:
        section.add(_failure(group))


def _failure(group: FailureGroup) -> Markup:
    heading = f"{group.outcome} in {group.phase}" if group.phase else group.outcome
    shown = "" if len(group.examples) == group.count else f", {len(group.examples)} of them here"
    note = f"{count_text(group.count)} attempt{'s' if group.count > 1 else ''}{shown}"
    return render_template("failure.html.j2", heading=heading, note=note, examples=group.examples)


def _faults(page: Page, facts: BuildFacts) -> None:
    if not facts.faults:
        return
    section = page.section(
        "Faults of the data",
        "Faults of the models of this run. Objects with outcome ok are rendered nevertheless; columns of the "
        "catalogue’s objects name them.",
    )
    section.table(["Objects", "Number"], [(name, count_text(count)) for name, count in facts.faults], label="Faults")
    if facts.missing_pictures:
        rows = [(one.title or one.uid, one.uid, one.outcome, one.pictures) for one in facts.missing_pictures]
        section.table(["Object", "uid", "Outcome", "Missing pictures"], rows, label="Objects with missing pictures")


def _time(page: Page, facts: BuildFacts) -> None:
    section = page.section("Where the time went", "Seconds of workers by phase, over every attempt of the run.")
    rows = [
        BarRow(
            phase.name,
            tuple(Bar(value, seconds_text(value)) for value in (phase.total_s, phase.mean_s, phase.most_s)),
        )
        for phase in facts.phases
    ]
    head = ["Phase", "In all", "Mean of an attempt", "Longest"]
    section.add(bar_table(head, rows, label="Seconds by phase"))
    slow = [
        BarRow(
            one.title or one.uid,
            (Bar(one.seconds, seconds_text(one.seconds)), Bar(one.phase_s, f"{seconds_text(one.phase_s)} {one.phase}")),
            f"{one.uid}, {one.outcome}",
        )
        for one in facts.slowest
    ]
    section.add(fill("<h3>The slowest {}s</h3>", facts.words.item))
    section.add(bar_table(["Object", "Seconds", "Most of it"], slow, label="The slowest attempts"))
    shown = f", the busiest {len(facts.machines)}" if facts.machine_count > len(facts.machines) else ""
    section.add(fill("<h3>Machines{}</h3>", shown))
    machines = [
        (one.host, one.device or "–", count_text(one.attempts), seconds_text(one.seconds), f"{one.peak_mb:.0f} MiB")
        for one in facts.machines
    ]
    head = ["Machine", "Device", "Attempts", "Worker time", "Most memory of a child"]
    section.table(head, machines, label="Machines of the run")


def _views(page: Page, facts: BuildFacts) -> None:
    section = page.section(
        "Some of the views", f"Drawn at random from the {facts.words.item}s of this run that are in a shard."
    )
    section.columns(*(_sheet(shown) for shown in facts.pictured[:SHEETS]), css_class="sheets")
    if facts.missing:
        section.points(*facts.missing)


def _sheet(shown: SampleViews) -> Markup:
    title = shown.title or shown.uid
    return _stage(shown.views, VIEW_COLUMNS, f"Views of {title}", fill("<b>{}</b> {}", title, shown.uid))


def _stage(views: Sequence[Pixels], columns: int, alt: str, caption: Markup) -> Markup:
    sheet = Picture(image_uri(contact_sheet(views, columns=columns), quality=QUALITY), alt)
    return render_template("figure.html.j2", body=picture(sheet), caption=caption, css_class="stage")


def _plan(page: Page, facts: BuildFacts) -> None:
    section = page.section("Plan and settings", "As they were when the run began.")
    if facts.plan:
        section.add(render_template("listing.html.j2", text="\n".join(facts.plan), folded=""))
    if facts.settings:
        section.add(render_template("listing.html.j2", text=facts.settings, folded="All settings of the build"))
    if not (facts.plan or facts.settings):
        section.text("They were not kept: this page is made from the catalogue’s attempts alone.")


def _footer(facts: BuildFacts) -> dict[str, str]:
    facts_of_run = {
        "run": facts.run,
        "dataset": facts.dataset,
        "version": str(facts.version or "none"),
        "first attempt": _when(facts.began),
        "last attempt ended": _when(facts.ended),
        "settings digest": facts.settings_digest,
    }
    return {name: value for name, value in facts_of_run.items() if value}


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at)) if at else ""
