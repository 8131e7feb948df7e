"""Where the time of an object went, phase by phase."""

import re
import time

CYCLES_REPORT = {"GLOG_vmodule": "session=3"}
"""Environment in which Cycles prints, after each view, how long it sampled and how long it denoised."""

PHASES = ("start", "import", "normalise", "build", "sample", "denoise", "encode")

_LINE = r"^ *{} +(\d+\.\d+) +\d+\.\d+ *$"
_SAMPLED = re.compile(_LINE.format("Path Tracing"), re.MULTILINE)
_DENOISED = re.compile(_LINE.format("Denoiser"), re.MULTILINE)


class Stopwatch:
    """The phase that a child is in, by what it tells, and `seconds` of each so far: all that a dead one leaves."""

    def __init__(self) -> None:
        self.phase = "import"
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def begin(self, phase: str) -> None:
        """One phase ends, and `phase` begins."""
        self.stop()
        self.phase = phase

    def stop(self) -> None:
        """Count what passed until now to the phase that is on."""
        now = time.monotonic()
        self.seconds[self.phase] = self.seconds.get(self.phase, 0.0) + now - self._since
        self._since = now


def phases(start_s: float, measured: dict[str, float], log: str) -> dict[str, float]:
    """Wall seconds of start, import, normalise, build, sample, denoise and encode, as far as the object came.

    `measured` are the child's own, or of a dead one a stopwatch's: import, normalise, prepare, view, encode. Of `view`
    Cycles' reports in `log` say what was sampling and denoising; the rest of it and `prepare` are `build`: lights,
    camera, bringing the scene to Cycles, its tree of boxes, and fetching the picture.
    """
    seconds = {"start": start_s} | {name: measured[name] for name in ("import", "normalise") if name in measured}
    if "prepare" in measured:
        sample, denoise = (sum(map(float, line.findall(log))) for line in (_SAMPLED, _DENOISED))
        rest = measured["prepare"] + measured.get("view", 0.0) - sample - denoise
        seconds |= {
            "build": max(rest, 0.0),
            "sample": sample,
            "denoise": denoise,
            "encode": measured.get("encode", 0.0),
        }
    return {name: round(value, 4) for name, value in seconds.items()}
