"""The failures that a person can cause or meet. Each ends in a sentence, never in a traceback."""


class Failure(Exception):
    """The work could not be done. The message names what was expected, what was got, and the file, object or key."""

    exit_code = 1  # of the command that fails


class UsageError(Failure):
    """The request itself was wrong: an impossible flag, setting or path."""

    exit_code = 2
