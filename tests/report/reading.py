"""Reads a page back with html.parser: its elements, its text, what its attributes point to."""

from html.parser import HTMLParser

FETCHING = {"src", "href", "srcset", "action", "data", "poster", "background", "formaction", "xlink:href"}
VOID = {"meta", "img", "source", "br", "link", "input"}


class Reading(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.targets: list[str] = []
        self.texts: list[str] = []
        self.data: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        self.elements.append((tag, values))
        self.targets += [value for name, value in values.items() if name in FETCHING]
        if tag == "data":
            self.data.setdefault(values["data-key"], []).append(values["value"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.elements if name == tag]
