"""The shipped protocols are complete, and their digests follow what they measure."""

from dataclasses import replace
from pathlib import Path

import pytest

from base.errors import UsageError
from evaluation.images.ssim import SSIM_VARIANTS
from evaluation.mesh_metrics import MESH_METRICS
from evaluation.metric_words import UNDISCLOSED, words_of
from evaluation.protocol import PROTOCOLS, protocol_names, read_protocol
from evaluation.protocol_words import protocol_words

PICTURE_METRICS = {
    *("psnr", "psnr/foreground", "haarpsi", "haarpsi/edge-padded", "mask-iou", "l1", "clip-similarity"),
    *("lpips/alex", "lpips/vgg", *(f"ssim/{name}" for name in SSIM_VARIANTS)),
    *(f"psnr/co3d-{over}" for over in ("masked", "foreground", "full")),
}


@pytest.mark.parametrize("name", protocol_names())
def test_every_metric_and_published_figure_has_a_meaning(name: str) -> None:
    protocol = read_protocol(name)
    known = PICTURE_METRICS if protocol.kind == "views" else set(MESH_METRICS)
    for variant in protocol.variants.values():
        assert set(variant.metrics) <= known
        assert all(words_of(metric).label != metric or "/" not in metric for metric in variant.metrics)
    for row in protocol.published:
        assert set(row.figures) - {UNDISCLOSED} <= set(protocol.variants["as-published"].metrics)
    assert protocol.gaps
    assert protocol.citation in protocol_words(name, protocol)


def test_the_digest_follows_choices_but_no_words() -> None:
    protocol = read_protocol("sd30-views")
    sound = protocol.views["sound"]
    assert replace(protocol, title="other", published=(), gaps=()).digest() == protocol.digest()
    assert replace(protocol, views={**protocol.views, "sound": replace(sound, note="x")}).digest() == protocol.digest()
    other = {**protocol.views, "sound": replace(sound, rounding="rounded")}
    assert replace(protocol, views=other).digest() != protocol.digest()
    assert replace(protocol, inputs=(1,)).digest() != protocol.digest()


def test_mistakes_have_a_line(tmp_path: Path) -> None:
    text = (PROTOCOLS / "sd30-views.yaml").read_text()
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("compositing: blend", "compositing: mix", 1))
    with pytest.raises(UsageError, match=r"mine\.yaml:\d+: views\.as-published\.compositing"):
        read_protocol(str(path))
    path.write_text(text.replace("targets: [0, 1, 2,", "targets: [99, 1, 2,", 1))
    with pytest.raises(UsageError, match="among the protocol's targets"):
        read_protocol(str(path))
    path.write_text(text.replace("loader: sd30", "loader: sd30\n  objects: [../../shoe]", 1))
    with pytest.raises(UsageError, match=r"expected objects of letters, digits, - and _, not '\.\./\.\./shoe'"):
        read_protocol(str(path))
