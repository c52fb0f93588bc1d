"""From an objects URL to a store."""

from pathlib import Path

import pytest
from brain_kit.objects import FolderStore, ObjectStore, S3Store, open_store
from brain_kit.objects.s3_calls import S3Address, parse_address

SECRET = "very/secret+text"


def test_empty_url_is_the_folder_of_the_home(tmp_path: Path) -> None:
    """The embedded default."""
    store = open_store("", tmp_path)

    assert isinstance(store, FolderStore)
    assert store.location("a") == f"file://{tmp_path.resolve()}/objects/a"


def test_file_url_names_any_folder(tmp_path: Path) -> None:
    """Absolute, or relative to the current directory."""
    assert open_store(f"file://{tmp_path}/x", tmp_path).location("a") == f"file://{tmp_path.resolve()}/x/a"


def test_s3_url_is_read_with_its_options() -> None:
    """Key and secret are percent-decoded; TLS is the default."""
    address = parse_address("s3://KEY:very%2Fsecret%2Btext@s3.example:9000/bucket?region=cn-north-1&cache_mib=5")

    assert address == S3Address("s3.example:9000", "bucket", "KEY", SECRET, "cn-north-1", True, 5 * 1024 * 1024)
    assert parse_address("s3://KEY:x@127.0.0.1/bucket?secure=false").url == "http://127.0.0.1"
    assert SECRET not in repr(address)


def test_opening_contacts_no_server(tmp_path: Path) -> None:
    """A service can start while its store is away."""
    store = open_store("s3://KEY:x@192.0.2.1:9/bucket", tmp_path)

    assert isinstance(store, S3Store)
    assert isinstance(store, ObjectStore)
    assert store.iceberg_properties()["s3.endpoint"] == "https://192.0.2.1:9"


@pytest.mark.parametrize(
    "url",
    [
        f"s3://KEY:{SECRET.replace('/', '')}@host/",
        f"s3://KEY:{SECRET.replace('/', '')}@host/bucket/more",
        f"s3://KEY:{SECRET.replace('/', '')}@host/bucket?unknown=1",
        f"s3://KEY:{SECRET.replace('/', '')}@host/ab",
        "s3://host/bucket",
        f"http://KEY:{SECRET.replace('/', '')}@host/bucket",
        "objects",
    ],
)
def test_other_urls_are_refused_without_being_repeated(url: str, tmp_path: Path) -> None:
    """The text of the error says what is expected and never holds the secret."""
    with pytest.raises(ValueError, match="object store URL") as caught:
        open_store(url, tmp_path)
    assert "secret" not in str(caught.value).lower().replace("access:secret", "")


def test_folder_that_cannot_be_a_url_is_refused(tmp_path: Path) -> None:
    """Iceberg would cut the location at the sign."""
    with pytest.raises(ValueError, match="must not contain"):
        FolderStore(tmp_path / "a?b")
