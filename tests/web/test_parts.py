"""Parts of the server by themselves: the address and its token, limits, expiry, the models in memory."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.settings import Settings
from base.errors import UsageError
from inference.sample_photo import LoadedModel
from tests.web.conftest import picture_bytes
from web import models as web_models
from web.errors import Refused
from web.limits import RateLimit
from web.models import Models
from web.photos import PhotoStore
from web.run import Address, link_of, listen


def address(host: str, *, token: bool = False, public: bool = False) -> Address:
    return Address(host, 0, token=token, public=public)


def test_another_host_needs_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZERO123_TOKEN", raising=False)
    assert address("127.0.0.1").access().token is None
    assert address("127.0.0.1").access().hosts
    with pytest.raises(UsageError, match="--token as well"):
        address("0.0.0.0").access()
    with pytest.raises(UsageError, match="got both"):
        address("0.0.0.0", token=True, public=True).access()
    assert address("0.0.0.0", public=True).access().token is None
    drawn = {address("0.0.0.0", token=True).access().token for _ in range(2)}
    assert len(drawn) == 2
    assert min(len(token or "") for token in drawn) >= 32
    monkeypatch.setenv("ZERO123_TOKEN", "chosen")
    assert address("0.0.0.0", token=True).access().token == "chosen"


def test_a_taken_port_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZERO123_TOKEN", "chosen")
    with listen(address("127.0.0.1")) as opened:
        port = opened.getsockname()[1]
        assert link_of(opened, address("127.0.0.1", token=True).access()) == f"http://127.0.0.1:{port}/#token=chosen"
        with pytest.raises(UsageError, match=f"--port {port}: expected a free address"):
            listen(Address("127.0.0.1", port, token=False, public=False))


def test_a_bucket_fills_evenly() -> None:
    now = [0.0]
    limit = RateLimit(60, clock=lambda: now[0])
    for _ in range(60):
        limit.take("a")
    limit.take("b")
    with pytest.raises(Refused) as refused:
        limit.take("a")
    assert (refused.value.status, round(refused.value.retry_s, 6)) == (429, 1.0)
    now[0] = 1.0
    limit.take("a")
    with pytest.raises(Refused):
        limit.take("a")


def test_photos_expire_after_their_last_use(settings: Settings, tmp_path: Path) -> None:
    now = [1e9]
    store = PhotoStore(tmp_path, settings.photo, expire_s=60.0, most_per_client=9, clock=lambda: now[0])
    used, unused = (store.add(picture_bytes(), "somebody")[0] for _ in range(2))
    for photo in (used, unused):
        os.utime(photo.folder, (now[0], now[0]))
    now[0] += 50.0
    store.get(used.name)
    now[0] += 50.0
    store.sweep()
    assert [path.name for path in tmp_path.iterdir()] == [used.name]
    with pytest.raises(Refused, match="expired"):
        store.get(unused.name)


def test_the_model_used_longest_ago_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_models, "weight_bytes", lambda _: 10)
    loads: list[str] = []

    def load(name: str) -> LoadedModel:
        loads.append(name)
        return LoadedModel(pipeline=None, digest=name, source=name)  # type: ignore[arg-type]

    models = Models(["a", "b", "c"], load, most_bytes=20)
    for name in "abac":
        models.get(name)
    assert (loads, models.loaded) == (["a", "b", "c"], ["a", "c"])
    assert models.check(None) == "a"
    with pytest.raises(Refused, match="expected any of a, b, c"):
        models.check("d")


def test_photos_may_come_and_go_at_once(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `/api/view` has them: each request counts the photos of all others, which are being removed."""
    monkeypatch.setattr("web.photos.cut", lambda *_: None)
    store = PhotoStore(tmp_path, settings.photo, expire_s=60.0, most_per_client=100)

    def come_and_go(client: int) -> None:
        for _ in range(60):
            photo, _ = store.add(b"photo", str(client))
            store.remove(photo)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(come_and_go, range(8)))
    assert list(tmp_path.iterdir()) == []


def test_folders_that_a_killed_server_left_expire_too(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / ("A" * 22)).mkdir()  # killed before its photo was described
    (tmp_path / "of somebody else").mkdir()
    now = [(tmp_path / ("A" * 22)).stat().st_mtime + 1.0]
    PhotoStore(tmp_path, settings.photo, expire_s=60.0, most_per_client=1, clock=lambda: now[0])
    assert (tmp_path / ("A" * 22)).is_dir()
    now[0] += 60.0
    PhotoStore(tmp_path, settings.photo, expire_s=60.0, most_per_client=1, clock=lambda: now[0])
    assert [path.name for path in tmp_path.iterdir()] == ["of somebody else"]
