"""S3: versitygw over a folder."""

import os
import secrets
from pathlib import Path
from typing import ClassVar

from minio import Minio
from urllib3 import PoolManager, Retry, Timeout

from brain_testing.servers.packages import ensure_versitygw
from brain_testing.servers.server import Server

ACCESS_KEY = "brain"
REGION = "us-east-1"


class S3(Server):
    """An S3 server whose objects are plain files in {folder}/data/BUCKET/KEY: easy to damage on purpose."""

    name: ClassVar[str] = "s3"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        ports: tuple[int, ...] | None = None,
        detached: bool = False,
        secret: str | None = None,
    ) -> None:
        super().__init__(folder, ports=ports, detached=detached)
        self.secret = secret or secrets.token_hex(16)
        self.data = self.folder / "data"

    @property
    def endpoint(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self.port}"

    def url(self, bucket: str) -> str:
        """The platform's objects URL for a bucket."""
        return f"s3://{ACCESS_KEY}:{self.secret}@{self.endpoint}/{bucket}?secure=false"

    def client(self) -> Minio:
        """An independent client, to look at the server from outside the code under test."""
        pool = PoolManager(timeout=Timeout(connect=2, read=5), retries=Retry(total=0))
        return Minio(self.endpoint, ACCESS_KEY, self.secret, secure=False, region=REGION, http_client=pool)

    def make_bucket(self, bucket: str) -> str:
        """Create a bucket unless it exists; returns its objects URL."""
        client = self.client()
        if not client.bucket_exists(bucket):
            client.make_bucket(bucket)
        return self.url(bucket)

    def prepare(self) -> None:
        """See Server."""
        self.data.mkdir(exist_ok=True)
        (self.folder / "versions").mkdir(exist_ok=True)

    def command(self) -> list[str]:
        """See Server."""
        front = [str(ensure_versitygw()), "--port", self.endpoint, "--region", REGION, "--quiet"]
        return [*front, "posix", "--versioning-dir", str(self.folder / "versions"), str(self.data)]

    def environment(self) -> dict[str, str]:
        """Keys travel in the environment, never on the command line."""
        return {**os.environ, "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": self.secret}

    def probe(self) -> None:
        """See Server."""
        self.client().list_buckets()
