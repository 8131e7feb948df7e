"""What the child answers, checked like anything from outside: a file that it opened may have taken it over."""

from typing import Any

from base.outcomes import Outcome
from base.typed import parse_typed_json
from render.job import RenderJob, RenderResult

TOLD = ("import", "normalise", "prepare", "view", "encode")
"""The phases of the child's own, as it names them."""

NORMALISATION = {"scale", "centre", "bounds"}


def most_phases(job: RenderJob) -> int:
    """How many phases a child can come to in a job: three, and for each view two, twice when there are passes."""
    return 3 + 4 * len(job.views)


def told_phase(message: dict[str, Any]) -> str | None:
    """The phase that a message says begins; None for another message."""
    phase = message.get("phase")
    return phase if phase in TOLD else None


def told_result(message: dict[str, Any], job: RenderJob) -> RenderResult:
    """The result of `job` in a message. Raises ValueError for one that is none, or that lacks what an ok one has."""
    try:
        result = parse_typed_json(RenderResult, message["result"])
        result.to_json()  # raises for a value that is no number
    except (KeyError, ValueError) as error:
        raise ValueError(f"no result: {error}") from None
    told = [view.view for view in result.views], set(result.normalisation), "kind" in result.device
    if result.outcome is Outcome.OK and told != (list(job.views), NORMALISATION, True):
        raise ValueError("an ok result without its facts")
    return result
