"""What the tests of this room share: an S3 server, and what those of `tests/pipeline` start."""

from collections.abc import Iterator

import pytest

from tests.pipeline.conftest import lasting_hub, nodes
from tests.server.s3 import BUCKET, served, variables

__all__ = ["lasting_hub", "nodes"]


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server, which this process and its children reach as they would reach S3: by environment."""
    import s3fs

    with served() as address, pytest.MonkeyPatch.context() as patch:
        for name, value in variables(address).items():
            patch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTP_PROXY", "http_proxy"):
            patch.delenv(name, raising=False)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir(BUCKET)
        yield address
        s3fs.S3FileSystem.clear_instance_cache()
