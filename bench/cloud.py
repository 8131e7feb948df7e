"""Estimate days and cost of a dataset on named cloud machines, from seconds measured elsewhere.

python -m bench.cloud --cpu-s S [--gpu GPU=S …] [--objects N] [--views N] [--machines N] [--json FILE] [--page]

--cpu-s is core-seconds per view for everything a build does, as printed by `bench.render` (CPU-s per view). --gpu is
seconds per view of a single GPU of that kind; repeat it for each measured kind. For a machine with an unmeasured GPU,
the table gives the speed at which it would cost no more than the cheapest of the others. Prices are inputs: list prices
on demand, in USD an hour, of the month beside them. Look them up before you pay. Storage, traffic and idle machines are
not included.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from base.versions import machine, versions
from bench.sections import write_section
from evaluation.table import markdown_table


@dataclass(frozen=True)
class Machine:
    """A rented machine: physical `cores`, `gpus` GPUs of the kind `gpu`, and USD an hour on demand, as of `priced`."""

    name: str
    cores: int
    gpu: str
    gpus: int
    usd_per_hour: float
    priced: str


PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
NOTES = """
Core-seconds are those of `bench.render` in rendering.md. Prices are inputs, on demand, in USD, of the stated month.
Storage, traffic and idle machines are not included.
"""
MACHINES = (
    Machine("AWS c7a.16xlarge", 64, "", 0, 3.28, "2024-11"),
    Machine("AWS c7i.16xlarge", 32, "", 0, 2.86, "2024-11"),
    Machine("AWS g6.xlarge", 2, "L4", 1, 0.80, "2024-11"),
    Machine("AWS g5.xlarge", 2, "A10G", 1, 1.01, "2024-11"),
    Machine("GCP a3-highgpu-8g", 104, "H100", 8, 88.25, "2024-11"),
)
"""Inputs, not results."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu-s", type=float, required=True, metavar="S")
    parser.add_argument("--gpu", action="append", default=[], metavar="GPU=S")
    parser.add_argument("--objects", type=int, default=800_000, metavar="N")
    parser.add_argument("--views", type=int, default=12, metavar="N")
    parser.add_argument("--machines", type=int, default=10, metavar="N", help="of each kind at a time")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--page", action="store_true", help="write a section of docs/scale.md")
    options = parser.parse_args()
    gpu_s = {name: float(seconds) for name, _, seconds in (given.partition("=") for given in options.gpu)}
    rows = [
        {**asdict(rented), **estimate(rented, seconds, options.objects * options.views, options.machines)}
        for rented in MACHINES
        # Machines with an unmeasured GPU have no row: a guess would look like a result.
        if (seconds := seconds_per_view(rented, options.cpu_s, gpu_s)) is not None
    ]
    header = ["machine", "GPUs", "USD/h", "of", "s per view", "views/h", f"days with {options.machines}", "USD"]
    keys = ("name", "gpus", "usd_per_hour", "priced", "s_per_view", "views_per_hour", "days", "usd")
    gpus = ", ".join(f"{seconds} s of one {name}" for name, seconds in gpu_s.items()) or "no GPU was measured"
    told = f"{options.objects:,} objects of {options.views} views; a view takes {options.cpu_s} core-seconds; {gpus}."
    table = markdown_table(header, [[_text(row[key]) for key in keys] for row in rows])
    # The bar for the unmeasured machines.
    cheapest = min(rows, key=lambda row: row["usd"])
    missing = [
        f"- {rented.name}, USD {rented.usd_per_hour} an hour in {rented.priced}: "
        f"{break_even_s(rented, cheapest['usd'] / options.objects / options.views):.3g} s a view on a {rented.gpu}"
        for rented in MACHINES
        if rented.gpus and rented.gpu not in gpu_s
    ]
    text = [told, "", table, *([f"\nNot measured; as cheap as {cheapest['name']} at\n", *missing] if missing else [])]
    print("\n".join(text))
    if options.page:
        write_section(PAGE, "On paper", [*text, NOTES.rstrip()])
    if options.json:
        about = {"inputs": {"cpu_s": options.cpu_s, "gpu_s": gpu_s}, "machine": machine(), "versions": versions()}
        options.json.write_text(json.dumps({"rows": rows, **about}, indent=2) + "\n")
    return 0


def seconds_per_view(rented: Machine, cpu_s: float, gpu_s: dict[str, float]) -> float | None:
    """Return the whole machine's seconds for a view; None if its GPU was not measured."""
    if not rented.gpus:
        return cpu_s / rented.cores
    return gpu_s[rented.gpu] / rented.gpus if rented.gpu in gpu_s else None


def estimate(rented: Machine, s_per_view: float, views: int, machines: int) -> dict[str, float]:
    """Estimate the time and cost of `views` views on `machines` machines."""
    hours = views * s_per_view / 3600
    return {
        "s_per_view": s_per_view,
        "views_per_hour": 3600 / s_per_view,
        "days": hours / 24 / machines,
        "usd": hours * rented.usd_per_hour,
    }


def break_even_s(rented: Machine, usd_per_view: float) -> float:
    """Return the seconds per view of a single GPU at which the machine costs `usd_per_view`."""
    return usd_per_view * 3600 / rented.usd_per_hour * rented.gpus


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    raise SystemExit(main())
