"""The demo's sentences. The numbers choose the sentence, so every sentence is true."""

from markupsafe import Markup

from report.escape import fill
from report.numbers import Figures
from report.pages.demo_facts import CameraMove, DemoFacts


def intro(facts: DemoFacts, figures: Figures) -> Markup:
    """Introduce the project, this run and its figures."""
    return fill(
        "A photo of an object and a camera move go in; the object seen from there, and then its 3D mesh, come out. "
        "A single command took {objects} objects through the whole chain in {seconds}: {views} views, {pairs} pairs "
        "of them, a diffusion model of {parameters} parameters, new views, a mesh. "
        "All of it ran on {machine}, and every figure below is in report.json too.",
        objects=figures.show("data.objects", "count"),
        seconds=figures.show("total.seconds", "seconds"),
        views=figures.show("data.views", "count"),
        pairs=figures.show("data.pairs", "count"),
        parameters=figures.show("train.parameters", "short"),
        machine=facts.machine,
    )


def move_text(move: CameraMove) -> str:
    """Describe the camera's move: "64° to the right, 12° up, 0.2 closer"."""
    parts = []
    if abs(move.right_deg) >= 0.5:
        parts.append(f"{abs(move.right_deg):.0f}° to the {'right' if move.right_deg > 0 else 'left'}")
    if abs(move.up_deg) >= 0.5:
        parts.append(f"{abs(move.up_deg):.0f}° {'up' if move.up_deg > 0 else 'down'}")
    if abs(move.farther) >= 0.05:
        parts.append(f"{abs(move.farther):.1f} {'farther' if move.farther > 0 else 'closer'}")
    return ", ".join(parts) or "hardly any move"


def views_lead(facts: DemoFacts, figures: Figures) -> Markup:
    """Say where the views come from, how many were made now and how many are held out."""
    rendered, reused = facts.render.rendered, facts.render.reused
    counts = {len(item.views) for item in facts.objects}
    made = (
        Markup("Blender rendered all of them in this run")
        if not reused
        else fill(
            "{} were rendered in this run, {} were there from an earlier run",
            figures.show("data.rendered", "count"),
            figures.show("data.reused", "count"),
        )
        if rendered
        else Markup("Every object’s views were there from an earlier run, so nothing was rendered twice")
    )
    return fill(
        "{}{} cameras look at each object from random places on a sphere. {}. "
        "The {} views marked in orange were held out: the model never saw them while it learned.",
        "Up to " if len(counts) > 1 else "",
        figures.show("data.views_each", "count"),
        made,
        figures.show("data.held_out", "count"),
    )


def training_lead(facts: DemoFacts, figures: Figures) -> Markup:
    """Describe the training, its start, its duration and its loss."""
    first, last = figures.value("train.loss_first_tenth"), figures.value("train.loss_last_tenth")
    shown = [figures.show(f"train.loss_{part}_tenth", "ratio") for part in ("first", "last")]
    if first is None or last is None:
        course = Markup("Its loss was not recorded.")
    elif last < first:
        course = fill("Its mean loss fell from {} in the first tenth of the training to {} in the last.", *shown)
    else:
        course = fill("Its mean loss did not fall: {} in the first tenth, {} in the last.", *shown)
    start = fill("The training began with the weights of {}. ", facts.train.init) if facts.train.init else Markup("")
    return fill(
        "{}The model learned from {} images of {} × {} pixels in {}. {}",
        start,
        figures.show("train.images", "count"),
        figures.show("train.height", "count"),
        figures.show("train.width", "count"),
        figures.show("train.seconds", "seconds"),
        course,
    )


def loss_caption(window: int) -> str:
    """Describe the loss curve; each point is the mean over `window` rows of the log."""
    if window == 1:
        return "Each point is the mean since the point before."
    return f"The mean over {window} points, each point faint behind."


def verdict(figures: Figures) -> Markup:
    """Say whether the model beats the trivial answers by enough."""
    margin, goal = figures.value("novel_views.margin_db"), figures.value("novel_views.goal_db")
    # The sentences with a positive margin say "closer", so the sign is left out there.
    kind = "db" if margin is not None and margin > 0 else "signed_db"
    shown, asked = figures.show("novel_views.margin_db", kind), figures.show("novel_views.goal_db", "db")
    if margin is None or goal is None:
        return Markup("The margin over the trivial answers could not be measured.")
    if margin >= goal:
        text = "The model is {} closer to the truth than the better of two trivial answers; {} was asked for."
    elif margin > 0:
        text = "The model is {} closer to the truth than the better of two trivial answers, less than the {} asked for."
    else:
        text = "The model is no closer to the truth than a trivial answer ({}); {} better was asked for."
    return fill(text, shown, asked)


def compare_with_mean(figures: Figures) -> Markup:
    """Compare with a harder baseline: the mean of the object's training views."""
    model, mean = figures.value("novel_views.psnr_db.model"), figures.value("novel_views.psnr_db.mean_view")
    if model is None or mean is None:
        return Markup("The mean of the training views could not be compared with.")
    shown = figures.show("novel_views.psnr_db.mean_view", "db")
    if model > mean:
        text = (
            "It also beats the mean of the object’s own training views ({}), which has seen the object from all around."
        )
    else:
        text = (
            "It does not beat the mean of the object’s own training views ({}). That blur has seen the object from all "
            "around, where the model is given a single photo, and PSNR is kind to blur."
        )
    return fill(text, shown)


def mesh_lead(facts: DemoFacts, figures: Figures) -> Markup:
    """Describe the making of the mesh, and compare its outline with the photo."""
    iou, goal = figures.show("mesh.iou", "ratio"), figures.show("mesh.iou_goal", "ratio")
    result = (
        "overlaps it with an IoU of {} (asked for: {})"
        if facts.mesh.passed
        else "overlaps it with an IoU of only {}, where {} was asked for"
    )
    if facts.mesh.views:
        making = fill(
            "the model sampled {} views all around, and a surface with their colours was fitted to them",
            figures.show("mesh.views", "count"),
        )
    else:
        making = fill(
            "a density and colour field was fitted in {} steps so that the model finds every view of it likely, and "
            "its surface became a mesh",
            figures.show("mesh.steps", "count"),
        )
    return fill(
        "From a single photo (view {} of “{}”), {}. Seen from the photo’s camera, its outline {}.",
        facts.mesh.view,
        facts.object_of(facts.mesh.uid).title,
        making,
        fill(result, iou, goal),
    )


def capabilities(facts: DemoFacts, figures: Figures) -> list[Markup]:
    """List measured results of this model."""
    better = sum(pair.better for pair in facts.pairs)
    return [
        verdict(figures),
        compare_with_mean(figures),
        fill(
            "In {} of the {} pairs shown above it is closer to the truth than the photo it was given.",
            better,
            len(facts.pairs),
        ),
        Markup("Every view it was asked for was held out of its training, and the seed is fixed."),
    ]


def limitations(facts: DemoFacts, figures: Figures) -> list[Markup]:
    """List limits of this model, independent of its figures."""
    elsewhere = (
        fill(
            "There it may be worse than {}, with which it began: it was tuned to these objects alone.", facts.train.init
        )
        if facts.train.init
        else "Expect it to fail on a photo of your own."
    )
    return [
        fill(
            "The held-out views are of the {} objects that it learned from, so no figure here says anything about "
            "an object it has never seen. {}",
            figures.show("data.objects", "count"),
            elsewhere,
        ),
        fill(
            "It is small: {} parameters, {} pixels, {} images seen in this run. The paper’s network has about 860 "
            "million parameters, and its public weights had seen {} images, {} times as many.",
            figures.show("train.parameters", "short"),
            figures.show("train.height", "count"),
            figures.show("train.images", "short"),
            figures.show("train.paper_images", "short"),
            figures.show("train.paper_ratio", "short"),
        ),
        Markup(
            "The mesh’s overlap judges a single side: the side in the photo, to which it was fitted. The others are "
            "the model’s guess."
        ),
    ]
