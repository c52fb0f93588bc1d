"""Getting the servers: from package registries on first use, into a cache folder kept between runs."""

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from brain_testing.servers.debian import MissingServer, install_packages, run_quietly

KAFKA_VERSION = "4.4.0"
VERSITYGW_VERSION = "v1.8.0"

RAY_VERSION = "2.60.0"
_SLURM_PROGRAMS = ("slurmctld", "slurmd", "slurmrestd", "scontrol", "munged")
_SLURM_PACKAGES = (
    "slurmctld",
    "slurmd",
    "slurm-client",
    "slurmrestd",
    "slurm-wlm-basic-plugins",
    "slurm-wlm-jwt-plugin",
    "munge",
)

_KAFKA_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>brain</groupId><artifactId>kafka-server</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
      <!-- its pom names this artifact, which is not published -->
      <exclusions>
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>kafka-tools-api</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


def cache_folder() -> Path:
    """$BRAIN_CACHE, else ~/.cache/industry-brain; created when missing."""
    folder = Path(os.environ.get("BRAIN_CACHE") or Path.home() / ".cache" / "industry-brain")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ensure_postgresql() -> Path:
    """The folder with `initdb` and `postgres`, newest version first; installs the Debian package when root.

    Raises MissingServer.
    """
    found = _postgresql()
    if found is None:
        with _installing("postgresql"):
            found = _postgresql()
            if found is None:
                install_packages("PostgreSQL 13 or newer", ["postgresql"])
                found = _postgresql()
    if found is None:
        raise MissingServer("the package postgresql is installed, but its program initdb is not in /usr/lib/postgresql")
    return found


def ensure_kafka() -> Path:
    """The folder with the jars of the Kafka broker. Raises MissingServer."""
    _ensure_program("java", "A Java runtime 17 or newer", "openjdk-17-jre-headless")
    name = f"kafka-{KAFKA_VERSION}-{hashlib.sha256(_KAFKA_POM.encode()).hexdigest()[:12]}"
    return cached(name, _fetch_kafka)


def ensure_versitygw() -> Path:
    """The S3 server's program. Raises MissingServer."""
    installed = shutil.which("versitygw")
    if installed:
        return Path(installed)
    return cached(f"versitygw-{VERSITYGW_VERSION}", _build_versitygw) / "versitygw"


def ensure_slurm() -> Path:
    """The folder with `slurmctld` and its like; installs the Debian packages when root. Raises MissingServer."""
    if any(_sbin(name) is None for name in _SLURM_PROGRAMS):
        with _installing("slurm"):
            if any(_sbin(name) is None for name in _SLURM_PROGRAMS):
                install_packages("Slurm with its REST daemon", _SLURM_PACKAGES)
    found = _sbin("slurmctld")
    if found is None:
        raise MissingServer("the package slurmctld is installed, but its program slurmctld is not on PATH")
    return found.parent


def ensure_ray() -> Path:
    """The Python of an environment of its own with `ray[default]`, which the platform never imports.

    Raises MissingServer.
    """
    return cached(f"ray-{RAY_VERSION}-py{sys.version_info.major}.{sys.version_info.minor}", _fetch_ray) / "bin/python"


def _fetch_ray(target: Path) -> None:
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        raise MissingServer("`uv` is missing, which fetches Ray into its own environment; run `make setup-dev`")
    # Relocatable: the folder is renamed when it is whole.
    run_quietly([uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(target)], cwd=target.parent)
    wanted = f"ray[default]=={RAY_VERSION}"
    run_quietly([uv, "pip", "install", "--quiet", "--python", str(target / "bin/python"), wanted], cwd=target.parent)


def _sbin(name: str) -> Path | None:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin")
    return Path(found) if found else None


def _postgresql() -> Path | None:
    versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if versions:
        return max(versions, key=lambda folder: int(folder.parent.name))
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def _fetch_kafka(target: Path) -> None:
    _ensure_program("mvn", "Maven, which fetches the Kafka broker,", "maven")
    (target / "pom.xml").write_text(_KAFKA_POM)
    copy = ["dependency:copy-dependencies", f"-DoutputDirectory={target}", "-DincludeScope=runtime"]
    run_quietly(["mvn", "-B", "-q", *copy], cwd=target)


def _build_versitygw(target: Path) -> None:
    # Debian's own Go is too old to build it, so apt is no help here.
    if shutil.which("go") is None:
        raise MissingServer(
            "`go` is missing; install Go 1.25 or newer, to build the S3 server, or put `versitygw` on PATH"
        )
    module = f"github.com/versity/versitygw/cmd/versitygw@{VERSITYGW_VERSION}"
    run_quietly(["go", "install", "-ldflags=-s -w", module], cwd=target, env={**os.environ, "GOBIN": str(target)})


def _ensure_program(name: str, what: str, package: str) -> None:
    if shutil.which(name) is not None:
        return
    with _installing(package):
        if shutil.which(name) is None:
            install_packages(what, [package])


def cached(name: str, fill: Callable[[Path], None]) -> Path:
    """A folder of the cache, filled once; other processes wait meanwhile."""
    target = cache_folder() / name
    if target.is_dir():
        return target
    with _installing(name):
        if not target.is_dir():
            temporary = Path(mkdtemp(prefix=f".{name}-", dir=cache_folder()))
            try:
                fill(temporary)
                temporary.chmod(0o755)
                temporary.rename(target)
            except RuntimeError as error:
                raise MissingServer(f"could not install {name}: {error}") from error
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    return target


@contextmanager
def _installing(name: str) -> Iterator[None]:
    with (cache_folder() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
