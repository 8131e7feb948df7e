"""Write pages of docs/ shared by several benchmarks, each with its own section."""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from base.versions import machine


def write_section(page: Path, title: str, lines: Sequence[str]) -> None:
    """Put a section into a page: it replaces the section of the same title, or comes last.

    It opens with this process's command, as `python -m NAME …`, without `--json FILE`.
    """
    about, words = machine(), sys.argv[1:]
    # A local path means nothing to readers of the page.
    if "--json" in words:
        place = words.index("--json")
        words = words[:place] + words[place + 2 :]
    command = shlex.join(["python", "-m", f"bench.{Path(sys.argv[0]).stem}", *words])
    opening = f"`{command}`, on {about['cores']} cores of {about['processor']}:"
    section = "\n".join([f"## {title}", "", opening, "", *lines, ""])
    before = page.read_text(encoding="utf-8") if page.exists() else f"# {page.stem.capitalize()}\n"
    found = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", before, re.MULTILINE | re.DOTALL)
    start, end = found.span() if found else (len(before), len(before))
    parts = (before[:start].rstrip() + "\n", section, before[end:].lstrip())
    page.write_text("\n".join(part for part in parts if part.strip()).rstrip() + "\n", encoding="utf-8")
