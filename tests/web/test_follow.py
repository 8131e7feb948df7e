"""The page that follows a run: its state and newest picture over HTTP, for this machine alone."""

import json
from http.client import HTTPConnection
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from base.progress import SILENT
from web.follow import following


def test_state_and_picture_follow_the_run(tmp_path: Path) -> None:
    with following(SILENT, tmp_path) as (progress, address):
        assert address.startswith("http://127.0.0.1:")
        page = urlopen(address)
        assert b"follow.js" in page.read()
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert b"state.json" in urlopen(f"{address}follow.js").read()
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{address}picture")
        with progress.task("sample", total=12, unit="views", done=2) as task:
            task.advance(3, note="behind")
            (tmp_path / "views/0").mkdir(parents=True)
            (tmp_path / "views/0/1.png").write_bytes(b"first")
            state = json.load(urlopen(f"{address}state.json"))
            picture = state.pop("picture")
            assert state == {"task": "sample", "done": 5, "total": 12, "unit": "views", "note": "behind"}
            assert urlopen(f"{address}picture?{picture}").read() == b"first"
        (tmp_path / "preview.webp").write_bytes(b"grown")
        assert json.load(urlopen(f"{address}state.json"))["picture"] != picture
        newest = urlopen(f"{address}picture")
        assert (newest.read(), newest.headers["Content-Type"]) == (b"grown", "image/webp")
    with pytest.raises(OSError, match="refused"):
        urlopen(address)


def test_other_files_and_other_hosts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("secret: 1")
    with following(SILENT, tmp_path) as (_, address):
        port = int(address.rstrip("/").rsplit(":", 1)[1])
        for path, host, status in (
            ("/settings.yaml", f"127.0.0.1:{port}", 404),
            ("/../settings.yaml", f"localhost:{port}", 404),
            ("/state.json", "evil.example", 403),
            ("/state.json", f"localhost:{port}", 200),
        ):
            connection = HTTPConnection("127.0.0.1", port)
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            assert answer.status == status
            assert b"secret" not in answer.read()
            connection.close()
