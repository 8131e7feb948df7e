"""Refusals of the server: an HTTP status and a sentence."""


class Refused(Exception):
    """A request that is not answered. `retry_s` says when it may come again, 0 for never."""

    def __init__(self, status: int, sentence: str, retry_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_s = status, sentence, retry_s


def unknown(what: str) -> Refused:
    """Refuse a name that is not known, or no longer."""
    return Refused(404, f"expected a known {what}, got an unknown or expired name")
