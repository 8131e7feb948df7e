"""Runs beside Ray on a spot machine: when the cloud says that it takes the machine back, Ray hears it too.

    python -m pipeline.cluster.notice aws

A node that Ray knows to be going finishes its object and gets no other. The section for AWS in pipeline.yaml starts
this on every worker; it asks the machine's metadata service and nobody else, and ends when the notice is passed on.
"""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

EVERY_S, ANSWER_S = 5.0, 2.0
TOKEN_TTL_S = 60


@dataclass(frozen=True)
class Cloud:
    """Whom to ask, how to tell whether there is a notice, and how many seconds a machine has left after it."""

    metadata: str
    noticed: Callable[[str], bool]
    left_s: int


def main(arguments: Sequence[str]) -> int:
    """Wait for the notice and tell Ray until it takes it; returns 0 then, and 2 for a cloud that is not known."""
    if len(arguments) != 1 or arguments[0] not in CLOUDS:
        sys.stderr.write(f"notice: expected one of {', '.join(CLOUDS)}, got {' '.join(arguments) or 'nothing'}\n")
        return 2
    cloud, complained = CLOUDS[arguments[0]], False
    while True:
        try:
            if cloud.noticed(cloud.metadata) and drain("auto", cloud.left_s) == 0:
                return 0
            complained = False
        except (OSError, HTTPException) as error:
            if not complained:
                sys.stderr.write(f"notice: {cloud.metadata}: expected an answer, got: {error}; asking again\n")
            complained = True
        time.sleep(EVERY_S)


def drain(address: str, left_s: int, node_id: str = "") -> int:
    """Tell the Ray at `address` that a node, this one if none is named, is gone in so many seconds; Ray's exit code."""
    node = ["--node-id", node_id] if node_id else []
    why = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "the cloud takes this machine back"]
    ray = [str(Path(sys.executable).with_name("ray")), "drain-node", "--address", address]
    return subprocess.run([*ray, *node, *why, "--deadline-remaining-seconds", str(left_s)], check=False).returncode


def aws_noticed(metadata: str) -> bool:
    """True when EC2 has scheduled an interruption of this spot instance. Raises OSError when nobody answers.

    Source: EC2's user guide, spot instance interruption notices, with a token as IMDSv2 wants one.
    """
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_TTL_S)}
    token = _answer(f"{metadata}/latest/api/token", ttl, "PUT")
    said = {"X-aws-ec2-metadata-token": token or ""}
    return _answer(f"{metadata}/latest/meta-data/spot/instance-action", said) is not None


def gcp_noticed(metadata: str) -> bool:
    """True when Compute Engine has begun to preempt this machine. Raises OSError when nobody answers."""
    said = _answer(f"{metadata}/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"})
    return said == "TRUE"


CLOUDS = {
    "aws": Cloud("http://169.254.169.254", aws_noticed, 120),
    "gcp": Cloud("http://metadata.google.internal", gcp_noticed, 30),
}


def _answer(url: str, headers: dict[str, str], method: str = "GET") -> str | None:
    """What the metadata service says; None where it has nothing to say."""
    request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310 -- of a Cloud, always http
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ANSWER_S) as answer:
            return str(answer.read(1 << 16).decode()).strip()
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404:
                return None
            raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
