"""What runs below a process of this machine, by /proc."""

from pathlib import Path


def children() -> dict[int, list[int]]:
    """The children of every process that has some."""
    found: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has just ended
        found.setdefault(parent, []).append(int(stat.parent.name))
    return found


def below(pid: int) -> list[int]:
    """All that a process started, directly or not, and that is still its kin."""
    kin, found, todo = children(), list[int](), [pid]
    while todo:
        started = kin.get(todo.pop(), [])
        found += started
        todo += started
    return found


def command(pid: int) -> str:
    """The words that a process was started with; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
