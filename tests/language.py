"""Count the words that make this project's prose hard to read: `python -m tests.language [PATH …] [--worst N]`.

Three kinds of text are counted, each on its own: docstrings, messages (string literals of at least four words in source
files, comments of Python and YAML files) and documents (Markdown, without code). A second table has the lines with
comments per hundred lines of code, by folder.
"""

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

CEILINGS = {
    "that/which/who": 12.0,
    "one/ones": 3.0,
    "none/nobody/whoever": 1.0,
    "stand/lie": 0.5,
}
"""The most occurrences of each group in 1,000 words of one kind of text."""

PATTERNS = {
    "that/which/who": r"that|which|who|whom|whose",
    "one/ones": r"one|ones",
    "none/nobody/whoever": r"none|nobody|whoever|whatever|wherever",
    "stand/lie": r"stand|stands|stood|standing|lie|lies|lay|lying",
}
COUNTED = {group: re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE) for group, pattern in PATTERNS.items()}
WORD = re.compile(r"[A-Za-z][A-Za-z'’]*")
LITERAL = re.compile(r"`[^`]*`|\"[^\"]*\"|https?://\S+|\bor None\b|\bNone\b")
"""Text that is quoted, not written: code, quotations, addresses, and Python's own None."""

DIRECTIVE = re.compile(r"#\s*(noqa|type:|fmt:)")
"""Comments for tools, not for people."""
LAYOUT = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)

KINDS = ("docstrings", "messages", "documents")
LEAST_WORDS = 4


@dataclass(frozen=True)
class Passage:
    """A piece of prose: its kind, its file and line, and its text."""

    kind: str
    path: Path
    line: int
    text: str


def passages(path: Path) -> Iterator[Passage]:
    """Yield the prose of one file: Python, Markdown or YAML; other files have no prose."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from _python_passages(path, source)
    elif path.suffix == ".md":
        yield Passage("documents", path, 1, re.sub(r"```.*?```", "", source, flags=re.DOTALL))
    elif path.suffix in (".yaml", ".yml"):
        for number, line in enumerate(source.splitlines(), 1):
            _, mark, comment = line.partition("#")
            if mark and " " in comment.strip():
                yield Passage("messages", path, number, comment)


def _python_passages(path: Path, source: str) -> Iterator[Passage]:
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in docstrings:
                yield Passage("docstrings", path, node.lineno, node.value)
            elif len(WORD.findall(node.value)) >= LEAST_WORDS:
                yield Passage("messages", path, node.lineno, node.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not DIRECTIVE.match(token.string):
            yield Passage("messages", path, token.start[0], token.string)


def tracked_files(paths: list[Path]) -> list[Path]:
    """List the tracked files below `paths` that hold the project's own prose; tests are not prose for users."""
    names = subprocess.run(
        ["git", "ls-files", "--", *map(str, paths)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [
        ROOT / name
        for name in names
        if not name.startswith("tests/")
        and (ROOT / name).exists()
        and name != "docs/reliability.md"  # a table made by `make soak`
        and Path(name).suffix in (".py", ".md", ".yaml", ".yml")
    ]


@dataclass(frozen=True)
class Count:
    """How many words a kind of text has, and how many of them each group of `PATTERNS` counts."""

    words: int
    found: Counter[str]

    def rate(self, group: str) -> float:
        """Occurrences of a group in 1,000 words."""
        return 1000 * self.found[group] / max(1, self.words)


def count(texts: list[Passage]) -> Count:
    """Count the words of some passages and the occurrences of each group."""
    words, found = 0, Counter[str]()
    for passage in texts:
        prose = LITERAL.sub(" ", passage.text)
        words += len(WORD.findall(prose))
        found.update({group: len(pattern.findall(prose)) for group, pattern in COUNTED.items()})
    return Count(words, found)


def count_lines(path: Path) -> tuple[int, int]:
    """Count the lines of code and the lines with comments of a Python file. A docstring is neither."""
    source = path.read_text(encoding="utf-8")
    prose = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    code, comments = set[int](), set[int]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments |= {token.start[0]} if not DIRECTIVE.match(token.string) else set()
        elif token.type not in LAYOUT:
            code |= set(range(token.start[0], token.end[0] + 1))
    return len(code - prose), len(comments)


def comment_rates(paths: list[Path]) -> dict[str, tuple[int, float]]:
    """Return, by top folder, the lines of code, and the lines with comments per hundred of them."""
    sums = dict[str, list[int]]()
    for path in paths:
        lines, comments = count_lines(path)
        total = sums.setdefault(path.relative_to(ROOT).parts[0], [0, 0])
        total[:] = total[0] + lines, total[1] + comments
    return {folder: (lines, 100 * comments / max(1, lines)) for folder, (lines, comments) in sorted(sums.items())}


def worst(texts: list[Passage], number: int) -> list[str]:
    """List the passages with the most occurrences, as `file:line: text`."""
    scored = sorted(texts, key=lambda passage: -sum(count([passage]).found.values()))
    return [f"{p.path.relative_to(ROOT)}:{p.line}: {' '.join(p.text.split())[:160]}" for p in scored[:number]]


def main() -> None:
    """Print the rates of each kind of text below the given paths, and on request the worst passages."""
    parser = argparse.ArgumentParser(description="Count the words that make prose hard to read.")
    parser.add_argument("paths", nargs="*", type=Path, default=[ROOT])
    parser.add_argument("--worst", type=int, default=0, help="also print this many passages of each kind")
    asked = parser.parse_args()
    texts = [passage for path in tracked_files([p.resolve() for p in asked.paths]) for passage in passages(path)]
    print(f"{'':12}{'words':>8}" + "".join(f"{group:>22}" for group in PATTERNS))
    print(f"{'at most':12}{'':8}" + "".join(f"{ceiling:22.1f}" for ceiling in CEILINGS.values()))
    for kind in KINDS:
        of_kind = [passage for passage in texts if passage.kind == kind]
        counted = count(of_kind)
        print(f"{kind:12}{counted.words:8}" + "".join(f"{counted.rate(group):22.1f}" for group in PATTERNS))
        for line in worst(of_kind, asked.worst):
            print(f"    {line}")
    print(f"\n{'':16}{'lines of code':>16}{'comments per 100':>20}")
    sources = [path for path in tracked_files([p.resolve() for p in asked.paths]) if path.suffix == ".py"]
    for folder, (lines, rate) in comment_rates(sources).items():
        print(f"{folder:16}{lines:16}{rate:20.1f}")


if __name__ == "__main__":
    sys.exit(main())
