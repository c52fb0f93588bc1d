"""Getting the servers: from package registries on first use, into a cache folder kept between runs."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

KAFKA_VERSION = "4.4.0"
VERSITYGW_VERSION = "v1.8.0"

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


class MissingServer(RuntimeError):
    """A server is not installed and could not be; the text says what to install."""


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
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        with _installing("postgresql"):
            found = _postgresql()
            if found is None:
                _apt_get("postgresql")
                found = _postgresql()
    if found is None:
        raise MissingServer("PostgreSQL is missing: run `apt-get install postgresql` (13 or newer) as root")
    return found


def ensure_kafka() -> Path:
    """The folder with the jars of the Kafka broker. Raises MissingServer."""
    _require_program("java", "a Java runtime 17 or newer: `apt-get install openjdk-17-jre-headless`")
    name = f"kafka-{KAFKA_VERSION}-{hashlib.sha256(_KAFKA_POM.encode()).hexdigest()[:12]}"
    return cached(name, _fetch_kafka)


def ensure_versitygw() -> Path:
    """The S3 server's program. Raises MissingServer."""
    installed = shutil.which("versitygw")
    if installed:
        return Path(installed)
    return cached(f"versitygw-{VERSITYGW_VERSION}", _build_versitygw) / "versitygw"


def run_quietly(command: list[str], *, cwd: Path, env: dict[str, str] | None = None, timeout_s: float = 900) -> None:
    """Run a command to its end. Raises RuntimeError with the end of its output when it fails."""
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
    )
    if done.returncode:
        tail = (done.stdout + done.stderr).decode(errors="replace")[-3000:]
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{tail}")


def _postgresql() -> Path | None:
    versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if versions:
        return max(versions, key=lambda folder: int(folder.parent.name))
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def _apt_get(package: str) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        run_quietly(["apt-get", "update", "-q"], cwd=Path("/"), env=env)
        run_quietly(["apt-get", "install", "-y", "-q", "--no-install-recommends", package], cwd=Path("/"), env=env)
    except RuntimeError as error:
        raise MissingServer(f"`apt-get install {package}` failed: {error}") from error


def _fetch_kafka(target: Path) -> None:
    _require_program("mvn", "Maven, to fetch the Kafka broker: `apt-get install maven`")
    (target / "pom.xml").write_text(_KAFKA_POM)
    copy = ["dependency:copy-dependencies", f"-DoutputDirectory={target}", "-DincludeScope=runtime"]
    run_quietly(["mvn", "-B", "-q", *copy], cwd=target)


def _build_versitygw(target: Path) -> None:
    _require_program("go", "Go 1.25 or newer, to build the S3 server, or `versitygw` itself on PATH")
    module = f"github.com/versity/versitygw/cmd/versitygw@{VERSITYGW_VERSION}"
    run_quietly(["go", "install", "-ldflags=-s -w", module], cwd=target, env={**os.environ, "GOBIN": str(target)})


def _require_program(name: str, remedy: str) -> None:
    if shutil.which(name) is None:
        raise MissingServer(f"`{name}` is missing; install {remedy}")


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
