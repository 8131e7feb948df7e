"""Check the answers of the child like any data from outside: a hostile model may control the process."""

from typing import Any

from base.outcomes import Outcome
from base.typed import parse_typed_json
from render.job import RenderJob, RenderResult

CHILD_PHASES = ("import", "normalise", "prepare", "view", "encode")
"""The phases that the child names."""

NORMALISATION = {"scale", "centre", "bounds"}


def max_phases(job: RenderJob) -> int:
    """Return the most phases of a job: three, and for each view two, twice when there are passes."""
    return 3 + 4 * len(job.views)


def read_phase(message: dict[str, Any]) -> str | None:
    """Return the phase that a message announces; None for another message."""
    phase = message.get("phase")
    return phase if phase in CHILD_PHASES else None


def read_result(message: dict[str, Any], job: RenderJob) -> RenderResult:
    """Return the result of `job` in a message. Raises ValueError for a malformed or incomplete result."""
    try:
        result = parse_typed_json(RenderResult, message["result"])
        result.to_json()  # raises for a value that is no number
    except (KeyError, ValueError) as error:
        raise ValueError(f"no result: {error}") from None
    told = [view.view for view in result.views], set(result.normalisation), "kind" in result.device
    # The record of an ok object is made of these facts.
    if result.outcome is Outcome.OK and told != (list(job.views), NORMALISATION, True):
        raise ValueError("an ok result without its facts")
    return result
