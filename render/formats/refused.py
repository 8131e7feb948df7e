"""How a check without Blender says that an object ends here."""

from base.outcomes import Outcome


class Refused(Exception):
    """The object ends with `outcome`; the message says what was expected and what was got."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


def corrupt(sentence: str) -> Refused:
    """A model that contradicts itself or its format."""
    return Refused(Outcome.CORRUPT, sentence)


def unsupported(sentence: str) -> Refused:
    """A model that may be sound but cannot be rendered here."""
    return Refused(Outcome.UNSUPPORTED, sentence)
