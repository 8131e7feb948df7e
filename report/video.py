"""Frames as a film: H.264 in MP4 and VP9 in WebM, by PyAV (extra `video`)."""

from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO
from typing import Literal, cast

import numpy as np

from base.errors import Failure
from report.images import Pixels, check_pixels, composite

VideoKind = Literal["mp4", "webm"]
# Without `cpu-independent`, x264's macroblock tree counts in what memory happened to hold before (with AVX-512): 300
# films of the same five small frames came out in seven ways.
VIDEO_KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "mp4": ("libx264", {"crf": "18", "preset": "medium", "threads": "1", "x264-params": "cpu-independent=1"}),
    "webm": ("libvpx-vp9", {"crf": "24", "b": "0", "threads": "1", "row-mt": "0"}),
}
"""Encoder and options of each kind; a single thread makes the same bytes each time."""
BITEXACT = {"fflags": "+bitexact"}
"""No random identifiers in the file."""


def video_bytes(frames: Sequence[Pixels], kind: str, fps: float) -> bytes:
    """Encode frames, uint8 (H, W, 3 or 4) of the same size, alpha on white; odd sizes lose their last row or column.

    Raises Failure when PyAV is not installed and ValueError without frames or when their sizes differ.
    """
    if not frames or len({check_pixels(frame).shape[:2] for frame in frames}) != 1:
        raise ValueError("expected at least one frame, all of one size")
    try:
        import av
    except ImportError:
        raise Failure(
            f"{kind}: expected PyAV, which makes films: pip install -c constraints.txt -e '.[video]'"
        ) from None
    codec, options = VIDEO_KINDS[kind]
    height, width = (side - side % 2 for side in frames[0].shape[:2])  # 4:2:0 halves both sides
    stream = BytesIO()
    with av.open(stream, "w", format=kind, container_options=BITEXACT) as container:
        # 1001 is the denominator of broadcast rates such as 30000 / 1001.
        rate = Fraction(fps).limit_denominator(1001)
        track = cast("av.VideoStream", container.add_stream(codec, rate=rate, options=options))
        track.width, track.height, track.pix_fmt = width, height, "yuv420p"
        for pixels in frames:
            picture = np.ascontiguousarray(composite(pixels)[:height, :width])
            container.mux(track.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        # Encoders hold frames back; None makes them give up the rest.
        container.mux(track.encode(None))
    return stream.getvalue()
