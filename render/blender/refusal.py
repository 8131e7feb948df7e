"""The exception of the child's steps: it ends an object with an outcome."""

from render.job import Outcome


class Refusal(Exception):
    """The object ends with `outcome`; the message says what was expected and what was got.

    `missing_pictures` names the pictures that it lacks.
    """

    def __init__(self, outcome: Outcome, reason: str, missing_pictures: list[str] | None = None) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.missing_pictures = missing_pictures or []
