"""A protocol in words, for people."""

from dataclasses import asdict

from evaluation.benchmark_table import benchmark_tables, cell_text
from evaluation.metric_words import words_of
from evaluation.protocol import Protocol
from evaluation.table import markdown_table

HIDDEN = ("note", "metrics")


def protocol_words(name: str, protocol: Protocol) -> str:
    """Describe a protocol: its data, its variants, its published rows, its gaps and its citation."""
    objects = f"{len(protocol.data.objects)} objects" if protocol.data.objects else "all objects of the data set"
    lines = [
        f"{name}: {protocol.title} (digest {protocol.digest()})",
        protocol.summary,
        "",
        f"data: {protocol.data.loader}, {objects}; {protocol.data.licence}",
        f"from: {protocol.data.get}",
        f"cameras: {protocol.rig}",
        f"inputs {_numbers(protocol.inputs)}; targets {_numbers(protocol.targets)}; told: {protocol.told}",
    ]
    for variant, choices in protocol.variants.items():
        settings = {key: value for key, value in asdict(choices).items() if key not in HIDDEN and value not in ((), "")}
        shown = "; ".join(
            f"{key} {_numbers(value) if isinstance(value, tuple) else value}" for key, value in settings.items()
        )
        lines += ["", f"variant {variant}: {choices.note}", f"  {shown}", f"  metrics: {', '.join(choices.metrics)}"]
    if protocol.published:
        table = next(table for table in benchmark_tables(protocol, []) if table.rows)
        rows = [[row.method, *(cell_text(row, metric) for metric in table.metrics), row.source] for row in table.rows]
        lines += [
            "",
            "published:",
            markdown_table(["method", *(words_of(m).label for m in table.metrics), "source"], rows),
        ]
    lines += ["", "left open:", *(f"- {gap}" for gap in protocol.gaps)] if protocol.gaps else []
    return "\n".join([*lines, "", protocol.citation, protocol.bibtex.rstrip()])


def _numbers(values: tuple[object, ...]) -> str:
    if len(values) > 3 and values == tuple(range(values[0], values[0] + len(values))):  # type: ignore[call-overload, operator]
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values)) or "none"
