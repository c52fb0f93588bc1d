"""Settings: parts chosen by URL, secrets kept in files."""

from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest
from brain_kit.settings import SECRET_FILE, PlatformSettings
from pydantic import ValidationError


def secret_in(home: Path) -> str:
    """The secret that a process of its own finds or makes."""
    return PlatformSettings(home=home).shared_secret()


def test_each_service_has_its_own_database(tmp_path: Path) -> None:
    """The service's name with underscores, in a file by default and in the URL of a server."""
    embedded = PlatformSettings(home=tmp_path)
    cluster = PlatformSettings(home=tmp_path, database_url="postgresql://brain@db:5432/brain_{service}")

    assert embedded.database_url_of("data-hub") == f"sqlite:///{tmp_path}/data_hub.db"
    assert cluster.database_url_of("data-hub") == "postgresql://brain@db:5432/brain_data_hub"


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """BRAIN_ and the field's name; maps are JSON."""
    monkeypatch.setenv("BRAIN_HOME", str(tmp_path))
    monkeypatch.setenv("BRAIN_SERVICES", '{"identity": "http://identity:8000"}')
    monkeypatch.setenv("BRAIN_SERVICE_SECRET", "s3cret")

    settings = PlatformSettings()

    assert (settings.home, settings.services) == (tmp_path, {"identity": "http://identity:8000"})
    assert settings.shared_secret() == "s3cret"
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(("field", "value"), [("log_level", "LOUD"), ("token_lifetime_s", 0), ("services", "identity")])
def test_wrong_settings_stop_the_start(field: str, value: object) -> None:
    """Better than a surprise at night."""
    with pytest.raises(ValidationError, match=field):
        PlatformSettings.model_validate({field: value})


def test_a_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """It outlives the process; 256 random bits in base64 are 43 characters."""
    home = tmp_path / "new"

    made = secret_in(home)

    assert len(made) == 43
    assert secret_in(home) == made
    assert stat.S_IMODE((home / SECRET_FILE).stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == [SECRET_FILE]


def test_processes_that_start_at_once_share_one_secret(tmp_path: Path) -> None:
    """Whoever comes second takes the first one's, whole."""
    with multiprocessing.get_context("fork").Pool(8) as pool:
        for number in range(10):
            found = pool.map(secret_in, [tmp_path / str(number)] * 8)
            assert len(set(found)) == 1
            assert found[0]
