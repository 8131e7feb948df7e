"""The words for people about the work on a dataset's items."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """The command, an item, what is done with it, the same in the past, and the program that does it."""

    command: str
    item: str
    do: str
    done: str
    program: str

    @property
    def again(self) -> str:
        """What happens to the items of a lost shard."""
        return f"its {self.item}s are {self.done} again"


BUILDING = Wording("build", "object", "render", "rendered", "Blender")
