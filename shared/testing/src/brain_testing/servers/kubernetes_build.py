"""A Kubernetes control plane and etcd, built from the Go modules that `kubernetes_module/` pins by checksum."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from brain_testing.servers.debian import MissingServer, run_quietly
from brain_testing.servers.packages import cached

KUBERNETES_VERSION = "v1.36.3"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
_MODULE = Path(__file__).parent / "kubernetes_module"
_NEEDED_GO = (1, 26)
_STAMP = "k8s.io/component-base/version"
_MAJOR, _MINOR = KUBERNETES_VERSION.removeprefix("v").split(".")[:2]
_FLAGS = (
    "-trimpath",
    "-tags=notest,grpcnotrace",
    f"-ldflags=-s -w -X {_STAMP}.gitVersion={KUBERNETES_VERSION} -X {_STAMP}.gitMajor={_MAJOR} "
    f"-X {_STAMP}.gitMinor={_MINOR}",
)
_ETCD_FLAGS = ("-trimpath", "-ldflags=-s -w")
_BUILD_S = 3000


def ensure_kubernetes() -> Path:
    """The folder with PROGRAMS; built on first use, about five minutes on two cores. Raises MissingServer."""
    go = shutil.which("go")
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout if go else ""
    found = re.search(r"go(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < _NEEDED_GO:
        here = said.strip() or "there is no `go` on PATH"
        wanted = ".".join(map(str, _NEEDED_GO))
        raise MissingServer(
            f"Go {wanted} or newer is needed to build Kubernetes {KUBERNETES_VERSION} for the tests ({here}); "
            "install it from https://go.dev/dl and put its bin folder on PATH"
        )
    key = hashlib.sha256()
    for part in (said, *_FLAGS, *_ETCD_FLAGS):
        key.update(part.encode())
    for name in ("go.mod", "go.sum"):
        key.update((_MODULE / name).read_bytes())
    return cached(f"kubernetes-{KUBERNETES_VERSION}-{key.hexdigest()[:12]}", _build)


def _build(target: Path) -> None:
    module = target / "module"
    shutil.copytree(_MODULE, module)
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    programs = [f"k8s.io/kubernetes/cmd/{name}" for name in PROGRAMS[:3]]
    for flags, out, packages in (
        (_FLAGS, f"{target}/", programs),
        (_ETCD_FLAGS, f"{target}/etcd", ["go.etcd.io/etcd/server/v3"]),
    ):
        run_quietly(["go", "build", *flags, "-o", out, *packages], cwd=module, env=env, timeout_s=_BUILD_S)
    shutil.rmtree(module)
