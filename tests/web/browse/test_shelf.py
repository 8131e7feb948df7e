"""What `--browse` recognises, and texts without paths."""

from pathlib import Path

import pytest

from base.errors import UsageError
from web.browse.shelf import make_shelf
from web.browse.words import LONGEST, clean


def names(*folders: str) -> list[tuple[str, str]]:
    return [(entry.name, entry.kind) for entry in make_shelf(folders).entries]


def test_folders_are_recognised_and_named_once(browsed: Path) -> None:
    assert names(str(browsed)) == [("runs-data", "dataset"), ("runs-model", "run"), ("runs-scores", "evaluation")]
    assert names(str(browsed / "data"), str(browsed / "data")) == [("data", "dataset"), ("data-2", "dataset")]
    assert names("s3://bucket/my data/") == [("my-data", "dataset")]


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_another_folder_is_a_sentence(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=f"--browse .*{folder}: expected a dataset, an evaluation, a training run"):
        make_shelf([str(tmp_path / folder)])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/models/a.glb: no header", "…/a.glb: no header"),
        ("could not read '/var/x/y/z.png'", "could not read '…/z.png'"),
        ("~/models/a.glb", "…/a.glb"),
        ("https://example.org/a/b.glb: 404", "https://example.org/a/b.glb: 404"),
        ("4/5 views, and/or none", "4/5 views, and/or none"),
        ("a\ud800b\x07", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"),
        ("x" * 1000, "x" * (LONGEST - 1) + "…"),
    ],
)
def test_texts_are_cleaned(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_known_paths_are_hidden_with_their_spaces() -> None:
    assert clean("/my models/a b/c.glb: bad", "/my models/a b/c.glb", "/my models/a b") == "…/c.glb: bad"
    assert clean("s3://bucket/root/shards/x.tar", "s3://bucket/root") == "…/shards/x.tar"
