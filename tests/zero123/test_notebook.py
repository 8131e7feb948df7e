"""The notebook of the examples: its cells run in order, and it holds no output of anybody's machine."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.forked import run_forked
from tests.zero123.networks import small_pipeline

NOTEBOOK = Path(__file__).parents[2] / "examples" / "novel_view.ipynb"
CELL_KEYS = {
    "markdown": {"cell_type", "id", "metadata", "source"},
    "code": {"cell_type", "id", "metadata", "source", "execution_count", "outputs"},
}
"""All keys of a cell in nbformat 4.5."""


def notebook() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return content


def run_cells(folder: str) -> int:
    """Run the code cells in `folder` as a kernel does, in one namespace."""
    os.chdir(folder)
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook()["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    view, views = np.asarray(names["view"]), names["views"]
    sys.stdout.write(f"{view.shape} {len(views)}\n")
    return 0


@pytest.mark.slow
def test_its_cells_run_in_order_on_the_files_of_a_demo(tmp_path: Path) -> None:
    pipe = small_pipeline()
    pipe.sampling = pipe.sampling_with(steps=2)
    pipe.save_pretrained(tmp_path / "runs" / "demo" / "model")
    (tmp_path / "runs" / "demo" / "mesh").mkdir()
    Image.new("RGBA", (32, 32), (200, 40, 40, 255)).save(tmp_path / "runs" / "demo" / "mesh" / "input.png")
    done = run_forked(run_cells, str(tmp_path), timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("(32, 32, 3) 6\n")


def test_it_is_a_notebook_without_outputs() -> None:
    content = notebook()
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in content["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in content["cells"]:
        assert cell.keys() == CELL_KEYS[cell["cell_type"]], cell["id"]
        assert all(line.endswith("\n") for line in cell["source"][:-1])
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        assert cell["metadata"] == {}
