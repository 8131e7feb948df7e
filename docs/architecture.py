"""Draw the packages and their imports: `python -m docs.architecture` writes docs/architecture.svg.

The picture is computed from the sources. A package is drawn above everything it imports. Implied arrows are left out.
"""

import ast
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = Path(__file__).with_suffix(".svg")
NOT_DRAWN = {"tests", "bench", "docs"}
BOX_W, BOX_H, GAP_X, GAP_Y, MARGIN = 150, 62, 26, 56, 20
Imports = dict[str, set[str]]


def package_imports() -> Imports:
    """Return, for each top-level package, the other packages it imports anywhere."""
    names = {path.parent.name for path in ROOT.glob("*/__init__.py")} - NOT_DRAWN
    return {name: {other for other in _find_imports(ROOT / name) if other in names - {name}} for name in sorted(names)}


def _find_imports(folder: Path) -> set[str]:
    found = set[str]()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found


def reachable(name: str, imports: Imports) -> set[str]:
    """Return every package that `name` imports, directly or through others."""
    return imports[name] | {far for near in imports[name] for far in reachable(near, imports)}


def without_implied(imports: Imports) -> Imports:
    """Drop each import that another import of the same package implies."""
    return {
        name: {near for near in direct if not any(near in reachable(other, imports) for other in direct - {near})}
        for name, direct in imports.items()
    }


def levels(imports: Imports) -> dict[str, int]:
    """Return the row of each package: 0 without imports, else one above the highest of its imports."""
    found: dict[str, int] = {}

    def level(name: str) -> int:
        if name not in found:
            found[name] = 1 + max((level(other) for other in imports[name]), default=-1)
        return found[name]

    for name in imports:
        level(name)
    return found


def svg(imports: Imports) -> str:
    """Draw the packages in rows, with their docstrings' first clause, and an arrow for each direct import."""
    rows: dict[int, list[str]] = {}
    for name, row in sorted(levels(imports).items()):
        rows.setdefault(row, []).append(name)
    width = max(len(row) for row in rows.values()) * (BOX_W + GAP_X) - GAP_X + 2 * MARGIN
    height = len(rows) * (BOX_H + GAP_Y) - GAP_Y + 2 * MARGIN
    corner = {}
    for row, names in rows.items():
        left = (width - len(names) * (BOX_W + GAP_X) + GAP_X) / 2
        top = height - MARGIN - BOX_H - row * (BOX_H + GAP_Y)
        corner |= {name: (left + column * (BOX_W + GAP_X), top) for column, name in enumerate(names)}
    arrows = [
        _arrow(corner[name], corner[other]) for name, near in without_implied(imports).items() for other in sorted(near)
    ]
    boxes = [_box(name, *corner[name]) for name in corner]
    style = (
        "text{font-family:system-ui,sans-serif;fill:#1d2733}.n{font-weight:600;font-size:15px}.d{font-size:10.5px}"
        "rect{fill:#eef3f8;stroke:#7d93a8}path{fill:none;stroke:#7d93a8}.h{fill:#7d93a8}"
    )
    head = '<marker id="h" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
            f"<style>{style}</style>",
            f'<rect width="{width}" height="{height}" style="fill:#fff;stroke:none"/>',
            f'<defs>{head}<path class="h" d="M0,0 L8,4 L0,8 z"/></marker></defs>',
            *arrows,
            *boxes,
            "</svg>",
            "",
        ]
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    x, y = start[0] + BOX_W / 2, start[1] + BOX_H
    u, v = end[0] + BOX_W / 2, end[1]
    bend = (v - y) / 2
    return f'<path d="M{x:g},{y:g} C{x:g},{y + bend:g} {u:g},{v - bend:g} {u:g},{v:g}" marker-end="url(#h)"/>'


def _box(name: str, left: float, top: float) -> str:
    middle = left + BOX_W / 2
    lines = _wrap(_subject(name))
    text = "".join(
        f'<text class="d" x="{middle:g}" y="{top + 37 + 13 * number:g}" text-anchor="middle">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<rect x="{left:g}" y="{top:g}" width="{BOX_W}" height="{BOX_H}" rx="7"/>'
        f'<text class="n" x="{middle:g}" y="{top + 20:g}" text-anchor="middle">{name}/</text>{text}'
    )


def _subject(name: str) -> str:
    docstring = ast.get_docstring(ast.parse((ROOT / name / "__init__.py").read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].partition(":")[0].partition(" (")[0].rstrip(".")


def _wrap(text: str, width: int = 26) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines[:2] if len(lines) <= 2 else [lines[0], f"{lines[1]} …"]


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(svg(package_imports()), encoding="utf-8")


if __name__ == "__main__":
    main()
