"""Watch for the cloud's notice of taking this spot machine back, and pass it on to Ray.

    python -m pipeline.cluster.notice aws

A draining node finishes its object and gets no other. The AWS section of pipeline.yaml starts this program on every
worker. It asks only the machine's metadata service, and ends once the notice is passed on.
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
    """The metadata service, the test for a notice, and the seconds left after it."""

    metadata: str
    has_notice: Callable[[str], bool]
    left_s: int


def main(arguments: Sequence[str]) -> int:
    """Wait for the notice and drain this node. Returns 0 then, and 2 for an unknown cloud."""
    if len(arguments) != 1 or arguments[0] not in CLOUDS:
        sys.stderr.write(f"notice: expected any of {', '.join(CLOUDS)}, got {' '.join(arguments) or 'nothing'}\n")
        return 2
    cloud, complained = CLOUDS[arguments[0]], False
    while True:
        try:
            # A failed drain is tried again: until it succeeds, Ray gives this node further jobs.
            if cloud.has_notice(cloud.metadata) and drain("auto", cloud.left_s) == 0:
                return 0
            complained = False
        except (OSError, HTTPException) as error:
            # Once per outage: the log of a worker without a metadata service would grow by a line every five seconds.
            if not complained:
                sys.stderr.write(f"notice: {cloud.metadata}: expected an answer, got: {error}; asking again\n")
            complained = True
        time.sleep(EVERY_S)


def drain(address: str, left_s: int, node_id: str = "") -> int:
    """Have the Ray at `address` drain a node, by default this one, within `left_s`. Returns Ray's exit code."""
    node = ["--node-id", node_id] if node_id else []
    reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "the cloud takes this machine back"]
    ray = [str(Path(sys.executable).with_name("ray")), "drain-node", "--address", address]
    return subprocess.run([*ray, *node, *reason, "--deadline-remaining-seconds", str(left_s)], check=False).returncode


def has_aws_notice(metadata: str) -> bool:
    """Return True when EC2 has scheduled an interruption of this spot instance. Raises OSError without an answer.

    Source: EC2's user guide, spot instance interruption notices; IMDSv2 requires a token.
    """
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_TTL_S)}
    # Anew each time: a kept token would expire after TOKEN_TTL_S.
    token = _answer(f"{metadata}/latest/api/token", ttl, "PUT")
    headers = {"X-aws-ec2-metadata-token": token or ""}
    return _answer(f"{metadata}/latest/meta-data/spot/instance-action", headers) is not None


def has_gcp_notice(metadata: str) -> bool:
    """Return True when Compute Engine has begun to preempt this machine. Raises OSError without an answer."""
    # Without this header the service refuses, as a defence against forged requests.
    answer = _answer(f"{metadata}/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"})
    return answer == "TRUE"


CLOUDS = {
    "aws": Cloud("http://169.254.169.254", has_aws_notice, 120),
    "gcp": Cloud("http://metadata.google.internal", has_gcp_notice, 30),
}


def _answer(url: str, headers: dict[str, str], method: str = "GET") -> str | None:
    """Return the metadata service's answer, or None for 404."""
    request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310 -- of a Cloud, always http
    # Without a proxy: the service tells each machine about itself, and a proxy would hear about its own.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ANSWER_S) as answer:
            return str(answer.read(1 << 16).decode()).strip()
    except urllib.error.HTTPError as error:
        with error:
            # EC2's way to say that nothing is scheduled.
            if error.code == 404:
                return None
            raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
