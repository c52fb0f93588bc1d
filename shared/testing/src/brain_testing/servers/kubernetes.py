"""Kubernetes: a real control plane on loopback, with nodes that run pods as processes (`kubelet.py`)."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3

from brain_testing.ports import free_ports
from brain_testing.servers.child import Child
from brain_testing.servers.kubelet import Kubelet, lines
from brain_testing.servers.kubernetes_build import ensure_kubernetes
from brain_testing.servers.kubernetes_keys import write_keys
from brain_testing.servers.server import ServerFailed

_POLL_S = 0.02
_READY_S = 60.0
_USERS = {
    "admin": "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
}
_CONTROLLERS = (
    "job-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "ttl-after-finished-controller",
    "pod-garbage-collector-controller",
    "resourcequota-controller",
    "node-lifecycle-controller",
    "taint-eviction-controller",
)


class ApiRefused(RuntimeError):
    """The API server answered with an error; `status` is the HTTP status, `answer` what it said."""

    def __init__(self, what: str, status: int, answer: Any) -> None:
        super().__init__(f"{what} answered {status}: {str(answer)[:500]}")
        self.status = status
        self.answer = answer


class Kubernetes:
    """etcd, API server, controller manager and scheduler, and `nodes` nodes of `cpus`, `memory` and `gpus` each."""

    def __init__(self, *, nodes: int = 2, cpus: int = 8, memory: str = "16000Mi", gpus: int = 2) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="brain-kubernetes-"))
        self.node_names = [f"k{number}" for number in range(1, nodes + 1)]
        self._capacity = {"cpu": str(cpus), "memory": memory, "pods": "110", "nvidia.com/gpu": str(gpus)}
        self.tokens = {name: secrets.token_hex(16) for name in _USERS}
        self.children: dict[str, Child] = {}
        self.nodes: dict[str, Kubelet] = {}
        self.ports: tuple[int, ...] = ()
        self.start_s = 0.0

    @property
    def url(self) -> str:
        """The address of the API server."""
        return f"https://127.0.0.1:{self.ports[1]}"

    @property
    def ca_file(self) -> Path:
        """The certificate that signed the API server's."""
        return self.folder / "keys/ca.crt"

    def start(self) -> Self:
        """Starts everything; returns when every node takes pods. Raises ServerFailed, MissingServer."""
        began = time.monotonic()
        self._programs = ensure_kubernetes()
        write_keys(self.folder / "keys", ("apiserver",))
        _private(
            self.folder / "tokens",
            "".join(f'{self.tokens[name]},{name},{name},"{group}"\n' for name, group in _USERS.items()),
        )
        self.ports = free_ports(2)
        self._pool = urllib3.PoolManager(
            maxsize=8, ssl_context=ssl.create_default_context(cafile=str(self.ca_file)), retries=False
        )
        self._start("etcd", self._etcd(), self._etcd_answers)
        self.start_api()
        for name in ("kube-controller-manager", "kube-scheduler"):
            self._start(name, self._controlling(name), lambda: None)
        self._await("account", lambda: self.call("GET", "/api/v1/namespaces/default/serviceaccounts/default"))
        for name in self.node_names:
            self.start_node(name)
        self._await("nodes", self._all_take_pods)
        self.start_s = time.monotonic() - began
        return self

    def stop(self) -> None:
        """Ends pods, nodes and servers by process id, then removes the folder."""
        for node in self.nodes.values():
            node.close()
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"):
            child = self.children.pop(name, None)
            if child is not None:
                child.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    # parts --------------------------------------------------------------------------------------------------------

    def start_api(self) -> None:
        """Starts the API server on what etcd holds."""
        self._start("kube-apiserver", self._api(), lambda: self.call("GET", "/readyz"))

    def kill_api(self) -> None:
        """SIGKILL to the API server."""
        self.children.pop("kube-apiserver").kill()

    def start_node(self, name: str) -> Kubelet:
        """Adds a node."""
        node = Kubelet(name, self.folder / "nodes" / name, self.call, self.watch, self._capacity)
        self.nodes[name] = node
        node.start()
        return node

    # clients ------------------------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """A call as administrator from outside the code under test. Raises ApiRefused and what urllib3 raises."""
        answer = self._pool.request(
            method, self.url + path, headers=self._headers() | {"Content-Type": content_type}, timeout=10.0,
            body=None if body is None else json.dumps(body).encode(),
        )  # fmt: skip
        try:
            said = answer.json()
        except ValueError:
            said = answer.data.decode(errors="replace")
        if answer.status >= 300:
            raise ApiRefused(f"{method} {path}", answer.status, said)
        return said

    def watch(self, path: str) -> Iterator[dict[str, Any]]:
        """The events of a watch until it ends; raises what urllib3 raises when it breaks."""
        answer = self._pool.request(
            "GET", self.url + path, headers=self._headers(), timeout=urllib3.Timeout(5, 30), preload_content=False
        )
        try:
            yield from lines(answer.stream())
        finally:
            answer.close()

    def namespace(self, prefix: str = "t") -> str:
        """A fresh namespace whose service account is there."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self._await(name, lambda: self.call("GET", f"/api/v1/namespaces/{name}/serviceaccounts/default"))
        return name

    def token_of(self, namespace: str, account: str) -> str:
        """A fresh token of a service account."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        return str(self.call("POST", path, {"spec": {"expirationSeconds": 3600}})["status"]["token"])

    def compact(self) -> None:
        """Has etcd forget all revisions but the newest, as it does every few minutes."""
        etcd = f"http://127.0.0.1:{self.ports[0]}/v3/kv"
        with urllib3.PoolManager(retries=False, timeout=10.0) as pool:
            seen = pool.request("POST", f"{etcd}/range", json={"key": "AA=="}).json()
            pool.request("POST", f"{etcd}/compaction", json={"revision": seen["header"]["revision"], "physical": True})

    # inside -------------------------------------------------------------------------------------------------------

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['admin']}"}

    def _etcd(self) -> list[str]:
        url = f"http://127.0.0.1:{self.ports[0]}"
        return [
            f"--data-dir={self.folder}/etcd", f"--listen-client-urls={url}", f"--advertise-client-urls={url}",
            "--listen-peer-urls=http://127.0.0.1:0", "--unsafe-no-fsync", "--heartbeat-interval=10",
            "--election-timeout=100", "--log-level=warn",
        ]  # fmt: skip

    def _etcd_answers(self) -> None:
        with urllib3.PoolManager(retries=False, timeout=2.0) as pool:
            if b'"true"' not in pool.request("GET", f"http://127.0.0.1:{self.ports[0]}/health").data:
                raise RuntimeError("etcd is not healthy yet")

    def _api(self) -> list[str]:
        keys = self.folder / "keys"
        return [
            f"--etcd-servers=http://127.0.0.1:{self.ports[0]}", "--bind-address=127.0.0.1",
            f"--secure-port={self.ports[1]}", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
            f"--tls-cert-file={keys}/apiserver.crt", f"--tls-private-key-file={keys}/apiserver.key",
            f"--client-ca-file={keys}/ca.crt", f"--token-auth-file={self.folder}/tokens", "--anonymous-auth=false",
            "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
            # Pages come from etcd, so that a list can expire between two of them as it does in a busy cluster.
            "--feature-gates=ListFromCacheSnapshot=false", "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={keys}/accounts.pub",
            f"--service-account-signing-key-file={keys}/accounts.key",
        ]  # fmt: skip

    def _controlling(self, name: str) -> list[str]:
        kubeconfig = self.folder / f"{name}.conf"
        cluster = {"server": self.url, "certificate-authority": str(self.ca_file)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": "here", "user": {"token": self.tokens[f"system:{name}"]}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
        }
        _private(kubeconfig, json.dumps(document))
        line = [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0"]
        if name == "kube-scheduler":
            return line
        keys = self.folder / "keys"
        return [
            *line, "--use-service-account-credentials=true", f"--service-account-private-key-file={keys}/accounts.key",
            f"--root-ca-file={keys}/ca.crt", "--kube-api-qps=500", "--kube-api-burst=1000", "--node-monitor-period=1s",
            "--node-monitor-grace-period=6s", f"--controllers={','.join(_CONTROLLERS)}",
        ]  # fmt: skip

    def _start(self, name: str, options: list[str], probe: Callable[[], Any]) -> None:
        log = self.folder / f"{name}.log"
        child = Child([str(self._programs / name), *options], folder=self.folder, log=log, env=dict(os.environ))
        self.children[name] = child
        self._await(name, probe, child)

    def _await(self, what: str, probe: Callable[[], Any], child: Child | None = None) -> None:
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                probe()
                return
            except (RuntimeError, OSError, urllib3.exceptions.HTTPError) as error:
                if child is not None and child.exit_code is not None:
                    raise ServerFailed(f"{what} ended with {child.exit_code}:\n{child.output()}") from error
                if time.monotonic() > deadline:
                    said = child.output() if child else ""
                    raise ServerFailed(f"{what} was not ready after {_READY_S:g} s ({error}):\n{said}") from error
            time.sleep(_POLL_S)

    def _all_take_pods(self) -> None:
        for node in self.call("GET", "/api/v1/nodes")["items"]:
            if node["spec"].get("taints"):
                raise RuntimeError(f"{node['metadata']['name']} has taints")


def _private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
