"""The demo's report: the whole chain on a page written from `DemoFacts`."""

from markupsafe import Markup

from geometry.camera import camera_centre
from geometry.sphere import spherical_from_cartesian
from report import mesh_view
from report.bars import Bar, BarRow, bar_table
from report.curves import Series, line_chart
from report.escape import fill
from report.images import image_uri
from report.numbers import Figures
from report.page import Metric, Page, Picture, picture, render_template
from report.pages import demo_pictures, demo_words
from report.pages.answers import answers_table
from report.pages.demo_facts import DemoFacts

TITLE = "From one photo to a mesh"
CHART_WH = (540.0, 320.0)
KICKER = "Zero-1-to-3, the whole factory"


def demo_page(facts: DemoFacts) -> str:
    """Write the report as self-contained HTML; its figures are `facts.numbers()`."""
    figures = Figures(facts.numbers())
    page = Page(TITLE, kicker=KICKER, lead=demo_words.intro(facts, figures))
    if facts.pairs:
        page.hero(demo_pictures.chain(facts))
    page.metrics(*_headline(facts, figures))
    _views(page, facts, figures)
    _training(page, facts, figures)
    _new_views(page, facts, figures)
    _mesh(page, facts, figures)
    _worth(page, facts, figures)
    _cost(page, facts, figures)
    _licences(page, facts)
    again = page.section("Do it again", "The seed is fixed; a second run renders nothing that is already there.")
    again.code(facts.commands)
    footer = {
        **facts.versions,
        "settings digest": facts.settings_digest,
        "seed": str(facts.seed),
        "machine": facts.machine,
    }
    page.footer(footer, "This page is a single file. It loads nothing, and it works without a network.")
    return page.html()


def _headline(facts: DemoFacts, figures: Figures) -> list[Metric]:
    reached = {True: "goal reached", False: "goal missed"}
    margin_goal, iou_goal = figures.show("novel_views.goal_db", "db"), figures.show("mesh.iou_goal", "ratio")
    goal = Markup("{} ({})")
    return [
        Metric(figures.show("novel_views.margin_db", "signed_db"), "PSNR over the better trivial answer",
               goal.format(reached[facts.scores.passed], margin_goal)),
        Metric(figures.show("mesh.iou", "ratio"), "overlap of mesh and photo (IoU)",
               goal.format(reached[facts.mesh.passed], iou_goal)),
        Metric(figures.show("total.seconds", "seconds"), "from objects to this page"),
        Metric(figures.show("total.peak_bytes", "bytes"), "peak memory"),
        Metric(figures.show("data.views", "count"), "rendered views",
               fill("{} objects, {} pairs", *(figures.show(f"data.{name}", "count") for name in ("objects", "pairs")))),
    ]  # fmt: skip


def _views(page: Page, facts: DemoFacts, figures: Figures) -> None:
    section = page.section("The views", demo_words.views_lead(facts, figures))
    section.columns(*(demo_pictures.object_sheet(shown) for shown in facts.objects), css_class="sheets")
    section.text(
        fill(
            "Rendered at {} × {} pixels and packed with all their pairs into {} WebDataset shards ({}), version {}.",
            figures.show("data.height", "count"),
            figures.show("data.width", "count"),
            figures.show("data.shards", "count"),
            figures.show("data.bytes", "bytes"),
            figures.show("data.version", "count"),
        )
    )


def _training(page: Page, facts: DemoFacts, figures: Figures) -> None:
    section = page.section("The training", demo_words.training_lead(facts, figures))
    train = facts.train
    window = max(1, len(train.loss) // 40)
    loss = line_chart(
        [Series("loss", train.images_seen, train.loss, smooth=window)], label="Training loss over images seen",
        x_label="images seen", y_label="loss (log)", log_y=True, wh=CHART_WH,
    )  # fmt: skip
    rate = line_chart(
        [Series("learning rate", train.images_seen, train.learning_rate)], label="Learning rate over images seen",
        x_label="images seen", y_label="learning rate", wh=CHART_WH,
    )  # fmt: skip
    blocks = [
        render_template("figure.html.j2", body=body, caption=caption, css_class="panel")
        for body, caption in (
            (loss, demo_words.loss_caption(window)),
            (rate, "Adam’s step size."),
        )
    ]
    section.columns(*blocks)


def _new_views(page: Page, facts: DemoFacts, figures: Figures) -> None:
    lead = fill(
        "From a photo and a camera move the model draws the view of the moved camera. Shown is {}; the figures are "
        "PSNR against the truth, higher is closer.",
        facts.pairs_chosen,
    )
    section = page.section("New views", lead)
    pairs = [demo_pictures.triptych(index, pair, facts, figures) for index, pair in enumerate(facts.pairs)]
    section.columns(*pairs, css_class="pairs")
    means = facts.scores.means
    section.add(answers_table(figures, means["psnr_db"], means, prefix="novel_views."))
    section.text(
        fill(
            "Means over {} held-out pairs, guidance scale {:g}, sampling steps: {}. {}",
            figures.show("novel_views.pairs", "count"),
            facts.scores.guidance_scale,
            figures.show("novel_views.sampling_steps", "count"),
            " ".join(facts.scores.notes),
        )
    )


def _mesh(page: Page, facts: DemoFacts, figures: Figures) -> None:
    mesh = facts.mesh
    title = facts.object_of(mesh.uid).title
    section = page.section("The mesh", demo_words.mesh_lead(facts, figures))
    polar, azimuth, _ = spherical_from_cartesian(camera_centre(mesh.input_cam_from_world))
    still = fill(
        "{}<p>The mesh turns here where WebGL and scripts are allowed.</p>", demo_pictures.turntable(mesh, facts)
    )
    viewer = mesh_view.mesh_view(
        mesh.vertices, mesh.faces, mesh.colours,
        label=f"The mesh of {title} in 3D. Arrow keys turn it, plus and minus zoom, space starts and stops it.",
        fallback=still, start_polar_rad=float(polar), start_azimuth_rad=float(azimuth),
    )  # fmt: skip
    page.script(mesh_view.script())
    about = fill(
        "Drag to turn, or use arrow keys, + and −. {} vertices, {} faces, in {}{}.",
        figures.show("mesh.vertices", "count"),
        figures.show("mesh.faces", "count"),
        mesh.glb.name,
        " (shown coarser here)" if mesh_view.is_simplified(mesh.vertices, mesh.faces) else "",
    )
    outline = picture(
        Picture(image_uri(demo_pictures.overlay(mesh)), f"The photo of {title} with the mesh’s outline over it")
    )
    told = fill(
        'The photo with the mesh’s outline: <span class="swatch beyond">orange</span> where the mesh goes beyond the '
        'object, <span class="swatch missed">blue</span> where it misses it. IoU {}.',
        figures.show("mesh.iou", "ratio"),
    )
    frame = fill('<div class="frame white">{}</div>', outline)
    section.columns(
        render_template("figure.html.j2", body=viewer, caption=about, css_class=""),
        render_template("figure.html.j2", body=frame, caption=told, css_class=""),
        css_class="columns lopsided",
    )
    strip = picture(Picture(image_uri(demo_pictures.turn_strip(mesh), quality=86), f"The mesh of {title} all around"))
    section.figure(strip, "A full turn around it.", css_class="stage")


def _worth(page: Page, facts: DemoFacts, figures: Figures) -> None:
    lead = fill(
        "A model trained for {} is a demonstration. This is what it shows and what it does not.",
        figures.show("train.seconds", "seconds"),
    )
    section = page.section("What to make of it", lead)
    both = [
        fill("<h3>{}</h3>{}", name, render_template("text.html.j2", paragraphs=(), items=items))
        for name, items in (
            ("What was measured", demo_words.capabilities(facts, figures)),
            ("What not to expect", demo_words.limitations(facts, figures)),
        )
    ]
    section.columns(*both)


def _cost(page: Page, facts: DemoFacts, figures: Figures) -> None:
    section = page.section(
        "Time and memory", "Wall-clock time of every stage, and the most memory its processes held together."
    )
    rows = []
    for stage in facts.stages:
        seconds, peak = f"stages.{stage.name}.seconds", f"stages.{stage.name}.peak_bytes"
        bars = (
            Bar(figures.value(seconds), figures.show(seconds, "seconds")),
            Bar(figures.value(peak), figures.show(peak, "bytes")),
        )
        rows.append(BarRow(stage.name.replace("-", " "), bars, stage.note))
    section.add(bar_table(["Stage", "Time", "Peak memory"], rows, label="Seconds and peak memory of each stage"))


def _licences(page: Page, facts: DemoFacts) -> None:
    section = page.section(
        "The objects and their licences", "The models are other people’s work, shared under the licences named."
    )
    rows = [(shown.title, shown.author, shown.licence, shown.source) for shown in facts.objects]
    section.table(["Object", "Author", "Licence", "Source"], rows, label="Authors and licences of the objects")
