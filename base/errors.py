"""The two kinds of failure a person can cause or meet; both end in one sentence, never in a traceback."""


class Failure(Exception):
    """The work could not be done: says what was expected, what was got, and which file, object or key. Exit code 1."""

    exit_code = 1


class UsageError(Failure):
    """The request itself was wrong: a flag, a setting or a path that cannot mean anything. Exit code 2."""

    exit_code = 2
