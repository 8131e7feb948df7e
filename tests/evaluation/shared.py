"""Material beside the checkout: real weights and benchmarks, absent on other machines."""

from pathlib import Path

import pytest

SHARED = next(
    (up / "shared" for up in Path(__file__).parents if (up / "shared" / "benchmarks").is_dir()), Path("shared")
)
SD30, LPIPS = SHARED / "benchmarks" / "sd30", SHARED / "weights" / "lpips"
EFFICIENTNET = SHARED / "weights" / "efficientnet_lite0" / "efficientnet-lite0-57934424.pth"

needs_sd30 = pytest.mark.skipif(not SD30.is_dir(), reason="SD-30 is not beside the checkout")
needs_lpips = pytest.mark.skipif(not LPIPS.is_dir(), reason="the LPIPS weights are not beside the checkout")
needs_efficientnet = pytest.mark.skipif(not EFFICIENTNET.is_file(), reason="EfficientNet is not beside the checkout")
