"""An S3 server (moto) on loopback, in its own process, for benchmarks of remote reads."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

BUCKET = "bench"
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""
FIXED = {
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing"),
    **dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "us-east-1"),
}


@contextmanager
def bucket() -> Iterator[str]:
    """Yield the URL of an empty bucket. This process and its children reach it by their environment."""
    import s3fs

    before = dict(os.environ)
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        address = f"http://127.0.0.1:{int(child.stdout.readline())}"
        os.environ.update(FIXED, AWS_ENDPOINT_URL=address, AWS_ENDPOINT_URL_S3=address)
        try:
            # s3fs reuses file systems by their arguments and would go on with an earlier address.
            s3fs.S3FileSystem.clear_instance_cache()
            s3fs.S3FileSystem().mkdir(BUCKET)
            yield f"s3://{BUCKET}"
        finally:
            # Restored exactly: what runs later must not see the test's credentials.
            os.environ.clear()
            os.environ.update(before)
            child.stdin.close()
            child.terminate()
