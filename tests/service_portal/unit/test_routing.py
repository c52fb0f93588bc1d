"""From a public path to a service: one reading or none."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from service_portal.domain.routing import PathRefused, Target, is_write, may_be_large, target_of

PIECES = st.sampled_from(rb"/ // . .. %2e %2F %5c \ %00 v1 api a internal %25 ; %c3".split())


@given(pieces=st.lists(PIECES, max_size=12))
@example(pieces=[b"a", b"/", b"..", b"/", b"internal"])
def test_a_path_that_passes_has_one_reading(pieces: list[bytes]) -> None:
    """Decoding it, or resolving its dots, before or after the gateway, leads to the same place under /v1/."""
    raw = b"/api/data-hub/v1/" + b"".join(pieces)
    try:
        target = target_of(raw)
    except PathRefused:
        return
    assert target is not None
    assert target.service == "data-hub"
    assert target.path.startswith("/v1/")
    assert unquote_to_bytes(target.raw_path) == target.path.encode()
    assert posixpath.normpath(target.path) == target.path.rstrip("/")
    assert "\\" not in target.path
    assert "\x00" not in target.path


@pytest.mark.parametrize(
    "path", [b"/", b"/api", b"/api/", b"/api/x", b"/api/x/v1", b"/api/x/internal/y", b"/APi/x/v1/y"]
)
def test_what_is_no_api_path_has_no_target(path: bytes) -> None:
    """Only /api/<service>/v1/... and the key set are offered."""
    assert target_of(path) is None


def test_the_key_set_and_versioned_paths_have_targets() -> None:
    """The service sees its own path, decoded once."""
    assert target_of(b"/api/identity/.well-known/jwks.json") == Target(
        "identity", "/.well-known/jwks.json", b"/.well-known/jwks.json"
    )
    assert target_of(b"/api/data-hub/v1/datasets/%E6%9C%BA") == Target(
        "data-hub", "/v1/datasets/机", b"/v1/datasets/%E6%9C%BA"
    )


def test_only_pushes_and_files_may_be_large() -> None:
    """Rows of a data set, files of jobs, files of components, and nothing that looks like them."""
    push = Target("data-hub", "/v1/datasets/a.b/pushes", b"")
    assert may_be_large(push, "POST")
    assert may_be_large(Target("compute-scheduler", "/v1/files", b""), "PUT")
    assert may_be_large(Target("algorithm-dev", "/v1/artefacts", b""), "PUT")
    assert not may_be_large(push, "PUT")
    assert not may_be_large(Target("identity", "/v1/files", b""), "PUT")
    assert not may_be_large(Target("identity", "/v1/datasets/a.b/pushes", b""), "POST")
    assert not may_be_large(Target("data-hub", "/v1/queries", b""), "POST")


def test_a_call_of_a_component_is_no_write() -> None:
    """It computes and is metered; everything else that is posted is audited, also where it only looks like a call."""
    call = Target("algorithm-dev", "/v1/components/oee/versions/1.0.0/invocations", b"")
    assert not is_write(call, "POST")
    assert is_write(Target("algorithm-dev", "/v1/components/oee/versions/1.0.0/runs", b""), "POST")
    assert is_write(Target("data-hub", "/v1/x/invocations", b""), "POST")
    assert is_write(None, "POST")
    assert not is_write(call, "GET")
