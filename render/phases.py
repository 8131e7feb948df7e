"""The seconds of each phase of a render."""

import re

CYCLES_REPORT = {"GLOG_vmodule": "session=3"}
"""Environment in which Cycles prints, after each view, how long it sampled and how long it denoised."""

PHASES = ("start", "import", "normalise", "build", "sample", "denoise", "encode")

_LINE = r"^ *{} +(\d+\.\d+) +\d+\.\d+ *$"
_SAMPLED = re.compile(_LINE.format("Path Tracing"), re.MULTILINE)
_DENOISED = re.compile(_LINE.format("Denoiser"), re.MULTILINE)


def measure_phases(start_s: float, measured: dict[str, float], log: str) -> dict[str, float]:
    """Return wall seconds of start, import, normalise, build, sample, denoise and encode, as far as the object came.

    `measured` are the child's seconds, or a stopwatch's when the child died: import, normalise, prepare, view, encode.
    Cycles reports in `log` how much of `view` was sampling and denoising. The rest of `view` and all of `prepare` are
    `build`: lights, camera, scene export to Cycles, BVH, and reading the picture.
    """
    seconds = {"start": start_s} | {name: measured[name] for name in ("import", "normalise") if name in measured}
    if "prepare" in measured:
        sample, denoise = (sum(map(float, line.findall(log))) for line in (_SAMPLED, _DENOISED))
        rest = measured["prepare"] + measured.get("view", 0.0) - sample - denoise
        seconds |= {
            # Cycles rounds its figures, so their sum can exceed the whole.
            "build": max(rest, 0.0),
            "sample": sample,
            "denoise": denoise,
            "encode": measured.get("encode", 0.0),
        }
    return {name: round(value, 4) for name, value in seconds.items()}
