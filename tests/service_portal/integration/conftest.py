"""One gateway for all tests, with the service behind it in its process and in a server of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.identity.brain import Holder
from tests.service_portal.front import Front

BODY_LIMIT = 1 << 20
PUSH_LIMIT = 256 << 20


@pytest.fixture(scope="package")
def limits() -> Iterator[None]:
    """Bounds small enough to be met."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAIN_SERVICE_PORTAL_BODY_LIMIT_BYTES", str(BODY_LIMIT))
        patch.setenv("BRAIN_SERVICE_PORTAL_PUSH_LIMIT_BYTES", str(PUSH_LIMIT))
        patch.setenv("BRAIN_SERVICE_PORTAL_SETTLE_S", "0.2")
        patch.setenv("BRAIN_SERVICE_PORTAL_UPSTREAM_TIMEOUT_S", "2")
        yield


@pytest.fixture(scope="package", params=["embedded", "cluster"])
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, limits: None) -> Iterator[Front]:
    """A gateway whose toy service is called in-process (embedded) or over HTTP (cluster)."""
    home: Path = tmp_path_factory.mktemp("gateway")
    made = Front(home, remote=request.param == "cluster")
    yield made
    made.close()


@pytest.fixture
def embedded(tmp_path: Path, limits: None) -> Iterator[Front]:
    """A gateway of this test alone."""
    made = Front(tmp_path)
    yield made
    made.close()


@pytest.fixture
def holder(front: Front) -> Holder:
    """An enterprise of this test with a key."""
    return front.brain.holder()
