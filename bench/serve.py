"""The page's server on loopback: from drop to view, many clients at once, and memory.

python -m bench.serve [--drops N] [--clients N] [--requests N] [--memory N] [--model NAME] [--json FILE]

The server is `zero123 serve` in a process of its own; its limits are lifted, so that one address may play all clients.
A drop is a new photo: it is uploaded, cut out, and its quick and its good view are fetched, as the page does. Then all
clients request `/api/view` at the same time, each with other moves. Some twenty of the answers are requested again, one
by one, and must have the same bytes. Memory is the server's resident set.
"""

import argparse
import io
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

from base.versions import machine, versions
from evaluation.table import markdown_table

PATIENCE_S = 600.0
SIDE_PX = 1024
BARS_S = {"quick": 1.5, "good": 6.0}
LIFTED = ("requests_per_minute=1000000", "photos=100000", "waiting=100000", "waiting_per_client=100000")
EXAMPLE = Path(__file__).parents[1] / "web" / "page" / "examples" / "burger.webp"


@dataclass(frozen=True)
class Server:
    """A running server: its address and its process."""

    url: str
    pid: int

    def resident_mb(self) -> float:
        """Return the resident memory of the process."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drops", type=int, default=30, metavar="N", help="photos one after the other (default: 30)")
    parser.add_argument("--clients", type=int, default=20, metavar="N", help="at the same time (default: 20)")
    parser.add_argument("--requests", type=int, default=5, metavar="N", help="of each client (default: 5)")
    parser.add_argument("--memory", type=int, default=200, metavar="N", help="requests to watch memory (default: 200)")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(options.model, Path(folder)) as server:
        drops = measure_drops(server, options.drops)
        crowd = measure_crowd(server, options.clients, options.requests)
        memory = measure_memory(server, options.memory)
    print(markdown_table(["drop to", "median s", "p95 s", "bar s"], drop_rows(drops)))
    print(
        f"\n{options.clients} clients x {options.requests} requests: {crowd['lost']} lost, {crowd['wrong']} wrong, "
        f"{crowd['seconds']:.1f} s, longest wait {crowd['longest_s']:.1f} s, {crowd['overtaken']} overtaken"
    )
    first, last = memory["first"], memory["last"]
    print(f"memory: {memory['first_mb']:.0f} MB after {first} requests, {memory['last_mb']:.0f} MB after {last}")
    if options.json:
        facts = {"drops": drops, "crowd": crowd, "memory": memory, "machine": machine(), "versions": versions()}
        options.json.write_text(json.dumps(facts, indent=2) + "\n")
    return 0


@contextmanager
def serving(model: str, folder: Path) -> Iterator[Server]:
    """Run a server on a free port until the block ends."""
    command = [sys.executable, "-m", "app", "serve", "--port", "0", "--model", model, "--folder", str(folder)]
    command += [word for limit in LIFTED for word in ("--set", f"serve.limits.{limit}")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            # The link is printed when the model is loaded: from here on the server answers.
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found, f"expected the server's link, got {line!r}"
            yield Server(found[0].rstrip("/"), process.pid)
        finally:
            process.terminate()
            process.wait(30)


def measure_drops(server: Server, count: int) -> dict[str, list[float]]:
    """Time new photos until the quick and the good view have arrived, in seconds."""
    seconds: dict[str, list[float]] = {"cut-out": [], "quick": [], "good": []}
    with _client(server) as client:
        for number in range(count + 1):
            data, started = photo(number), time.perf_counter()
            name = _json(client.post("/api/photos", content=data))["photo"]
            times = {"cut-out": time.perf_counter() - started}
            for quality in BARS_S:
                body = {"moves": [{"right_deg": 40, "up_deg": 10}], "quality": quality}
                job = _json(client.post(f"/api/photos/{name}/views", json=body))
                while job["state"] in ("waiting", "running"):
                    job = _json(client.get(job["url"], params={"version": job["version"], "wait_s": 20}))
                client.get(job["files"][0]["url"]).raise_for_status()
                times[quality] = time.perf_counter() - started
            if number:  # the first warms up
                for what, took in times.items():
                    seconds[what].append(took)
    return seconds


def measure_crowd(server: Server, clients: int, requests: int) -> dict[str, Any]:
    """Have clients ask at the same time, one request after the other; then ask the same alone and compare."""
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answers = [
            row for rows in pool.map(lambda one: _ask_all(server, one, requests), range(clients)) for row in rows
        ]
    seconds = time.perf_counter() - began
    with _client(server) as client:
        # A sample: asking all again alone would take as long as the crowd.
        checked = answers[:: max(1, len(answers) // 20)]
        wrong = sum(_ask(client, row["client"], row["request"]).content != row["content"] for row in checked)
    return {
        "lost": clients * requests - sum(row["status"] == 200 for row in answers),
        "wrong": wrong,
        "seconds": seconds,
        "longest_s": max(row["ended"] - row["began"] for row in answers),
        "overtaken": overtaken([(row["began"], row["ended"]) for row in answers]),
    }


def overtaken(times: list[tuple[float, float]], slack_s: float = 1.0) -> int:
    """Count requests that ended after another, which began at least `slack_s` later, had ended."""
    return sum(any(began + slack_s < later and end < ended for later, end in times) for began, ended in times)


def measure_memory(server: Server, count: int) -> dict[str, Any]:
    """Ask one request after the other, and compare the memory after a fifth of them and at the end."""
    first = max(1, count // 5)
    with _client(server) as client:
        for number in range(1, count + 1):
            _ask(client, 1000, number).raise_for_status()
            if number == first:
                first_mb = server.resident_mb()
    return {"first": first, "first_mb": first_mb, "last": count, "last_mb": server.resident_mb()}


def photo(number: int) -> bytes:
    """Return a new photo as JPEG: an example before a wall, a little different for each number."""
    # New bytes for each number, so that nothing is answered from an earlier result.
    wall = np.full((SIDE_PX, SIDE_PX, 3), 226 - number % 12, np.uint8)
    wall = wall + np.random.default_rng(number).integers(0, 4, wall.shape, dtype=np.uint8)
    picture = Image.fromarray(wall)
    with Image.open(EXAMPLE) as example:
        large = example.convert("RGBA").resize((SIDE_PX, SIDE_PX))
    picture.paste(large, (0, 0), large)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=92)
    return stream.getvalue()


def drop_rows(drops: dict[str, list[float]]) -> list[list[str]]:
    """Return the table's rows: median and 95th percentile beside the bar."""
    return [
        [what, f"{statistics.median(times):.2f}", f"{np.percentile(times, 95):.2f}", str(BARS_S.get(what, ""))]
        for what, times in drops.items()
    ]


def _ask_all(server: Server, client_number: int, requests: int) -> list[dict[str, Any]]:
    rows = []
    with _client(server) as client:
        for number in range(requests):
            began = time.perf_counter()
            answer = _ask(client, client_number, number)
            row = {"client": client_number, "request": number, "status": answer.status_code, "content": answer.content}
            rows.append({**row, "began": began, "ended": time.perf_counter()})
    return rows


def _ask(client: httpx2.Client, client_number: int, number: int) -> httpx2.Response:
    query = {"right_deg": (number * 37) % 180, "up_deg": 10, "seed": client_number * 1000 + number}
    return client.post("/api/view", params=query, content=photo(client_number))


def _client(server: Server) -> httpx2.Client:
    return httpx2.Client(base_url=server.url, timeout=PATIENCE_S)


def _json(answer: httpx2.Response) -> dict[str, Any]:
    answer.raise_for_status()
    return dict(answer.json())


if __name__ == "__main__":
    sys.exit(main())
