"""The exception of checks without Blender: it ends an object with an outcome."""

from base.outcomes import Outcome


class Refused(Exception):
    """The object ends with `outcome`; the message tells what was expected and what was found."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


def corrupt(sentence: str) -> Refused:
    """Return the refusal of a model with contradictions, or with errors in its format."""
    return Refused(Outcome.CORRUPT, sentence)


def unsupported(sentence: str) -> Refused:
    """Return the refusal of a possibly sound model without support here."""
    return Refused(Outcome.UNSUPPORTED, sentence)
