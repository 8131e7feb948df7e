"""Notices of preemption, as the clouds' metadata services give them; what Ray makes of one is in `test_crew`."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from pipeline.cluster.notice import has_aws_notice, has_gcp_notice

TOKEN = "a-token"


@contextmanager
def metadata(answers: dict[str, str]) -> Iterator[str]:
    """A metadata service that answers as EC2's with IMDSv2 and Compute Engine's do."""

    class Service(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            known = self.path == "/latest/api/token" and int(self.headers["X-aws-ec2-metadata-token-ttl-seconds"]) > 0
            self._send(200 if known else 400, TOKEN)

        def do_GET(self) -> None:
            aws, google = self.headers["X-aws-ec2-metadata-token"], self.headers["Metadata-Flavor"]
            if aws != TOKEN and google != "Google":
                self._send(401, "")
            else:
                self._send(200 if self.path in answers else 404, answers.get(self.path, ""))

        def _send(self, status: int, body: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_aws_interruption_is_noticed() -> None:
    with metadata({}) as service:
        assert not has_aws_notice(service)
    with metadata({"/latest/meta-data/spot/instance-action": '{"action": "terminate"}'}) as service:
        assert has_aws_notice(service)


@pytest.mark.parametrize(("said", "noticed"), [("TRUE", True), ("FALSE", False)])
def test_a_spot_machine_is_noticed_when_its_preemption_has_begun(said: str, noticed: bool) -> None:
    with metadata({"/computeMetadata/v1/instance/preempted": said + "\n"}) as service:
        assert has_gcp_notice(service) is noticed


def test_a_service_that_is_not_there_is_no_notice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for noticed in (has_aws_notice, has_gcp_notice):
        with pytest.raises(OSError, match="refused"):
            noticed(f"http://127.0.0.1:{port}")


def test_a_cloud_that_is_not_known_is_a_sentence() -> None:
    line = [sys.executable, "-m", "pipeline.cluster.notice", "azur"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "notice: expected any of aws, gcp, got azur\n")
