"""Addresses that do not end as a format does: the bytes that come say what they are."""

from pathlib import Path

import pytest

from base.progress import SILENT
from pipeline.builder import build
from tests.pipeline.builds import EXAMPLES, tiny
from tests.pipeline.hub import Hub


@pytest.mark.usefixtures("in_this_process")
def test_the_bytes_of_an_address_without_a_suffix_say_its_format(tmp_path: Path, lasting_hub: Hub) -> None:
    model = (EXAMPLES / "stool.glb").read_bytes()
    lasting_hub.files |= {"/blobs/8f3a": model, "/v1.2": model + bytes(8), "/page": b"<html>", "/x.txt": model}
    table = tmp_path / "table.csv"
    rows = [f"{lasting_hub.address}{path},CC0-1.0" for path in ("/blobs/8f3a", "/v1.2", "/page", "/x.txt")]
    table.write_text("\n".join(["url,licence", *rows]))
    settings = tiny(tmp_path / "dataset", tmp_path, objects={"source": "urls", "urls": str(table)})
    assert build(settings, SILENT).outcomes == {"ok": 2, "unsupported": 2}
