"""How a step of the child says that an object ends here."""

from render.job import Outcome


class Refusal(Exception):
    """The object ends with `outcome`; the message says what was expected and what was got."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
