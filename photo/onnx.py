"""Networks in ONNX files, run by onnxruntime."""

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from base.errors import Failure, UsageError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


# A single session is kept: some networks take a gigabyte of memory.
@lru_cache(maxsize=1)
def onnx_session(path: Path) -> "InferenceSession":
    """Load a network for the CPU; calls with the same path in a row share it.

    Raises UsageError for a file of another kind, Failure without onnxruntime.
    """
    try:
        import onnxruntime
    except ImportError:
        raise Failure(
            f"{path}: expected onnxruntime for a network in ONNX, got nothing: "
            "`pip install -c constraints.txt -e '.[cutout]'`"
        ) from None
    # Nothing is sent to anyone.
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    # onnxruntime ignores the variable and takes all cores.
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime raises classes of its own, without a common base
        raise UsageError(f"{path}: expected an ONNX network, got: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
