"""A node of a test cluster: it runs each pod's one container as a process of this machine and tells how it goes.

What a real kubelet does beside is absent: no image is pulled, no volume mounted (paths are this machine's), nothing is
isolated, resources are counted by the scheduler and not enforced.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3

from brain_testing.servers.child import Child

Json = dict[str, Any]
_LEASE_S = 2.0
# What a call may raise while the API server is away or says no.
BROKEN = (RuntimeError, OSError, ValueError, urllib3.exceptions.HTTPError)
_POLL_S = 0.03
_MERGE = "application/merge-patch+json"
# Every pod has an address of its own, all of them this machine's.
_ADDRESSES = itertools.count(1)
_LABEL = re.compile(r"metadata\.labels\['([^']+)'\]")
# What the API server answers to a call, and the events of a watch.
Call = Callable[..., Any]
Watch = Callable[[str], Iterator[Json]]


class Kubelet:
    """One node. folder: for the pods' output. lose(): as if its cable were pulled, pods run on; find(): it is back."""

    def __init__(self, name: str, folder: Path, call: Call, watch: Watch, capacity: dict[str, str]) -> None:
        self.name = name
        self._folder = folder
        self._call, self._watch = call, watch
        self._capacity = capacity
        self._reached = threading.Event()
        self._reached.set()
        self._closed = threading.Event()
        self._guard = threading.Lock()
        self._pods: dict[str, Pod] = {}

    def start(self) -> None:
        """Makes the node and begins to work."""
        self._folder.mkdir(parents=True)
        self._call("POST", "/api/v1/nodes", {"metadata": {"name": self.name}})
        lease = {"metadata": {"name": self.name, "namespace": "kube-node-lease"}, "spec": self._lease()}
        self._call("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", lease)
        self._beat()
        for work in (self._keep_lease, self._keep_pods):
            threading.Thread(target=work, name=f"{work.__name__}-{self.name}", daemon=True).start()

    def close(self) -> None:
        """Ends its pods and stops."""
        self._closed.set()
        self._reached.set()
        with self._guard:
            pods = list(self._pods.values())
        for pod in pods:
            pod.kill()

    def lose(self) -> None:
        """Neither lease nor status nor orders pass any more; processes run on."""
        self._reached.clear()

    def find(self) -> None:
        """It is reached again and catches up."""
        self._reached.set()

    def processes(self) -> list[int]:
        """Process ids of pods that run."""
        with self._guard:
            return [pod.child.pid for pod in self._pods.values() if pod.child and pod.child.exit_code is None]

    def tell(self, pod: Pod, status: Json) -> None:
        """Writes a pod's status; one that is gone meanwhile is no error."""
        self._reached.wait()
        self._try("PATCH", f"{pod.path}/status", {"metadata": {"uid": pod.uid}, "status": status}, _MERGE)

    def remove(self, pod: Pod) -> None:
        """Has the API server forget a pod whose process has ended."""
        self._reached.wait()
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid}}
        self._try("DELETE", pod.path, {"apiVersion": "v1", "kind": "DeleteOptions"} | options)

    # inside -------------------------------------------------------------------------------------------------------

    def _try(self, *call: Any) -> None:
        for _ in range(200):
            if self._closed.is_set():
                return
            try:
                self._call(*call)
            except BROKEN as error:
                if getattr(error, "status", 0) in (404, 409, 422):
                    return
                time.sleep(0.2)
            else:
                return

    def _lease(self) -> Json:
        return {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": _now("%Y-%m-%dT%H:%M:%S.%fZ")}

    def _beat(self) -> None:
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": _now()}
        status = {
            "capacity": self._capacity,
            "allocatable": self._capacity,
            "conditions": [ready],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        }
        self._call("PATCH", f"/api/v1/nodes/{self.name}/status", {"status": status}, _MERGE)

    def _keep_lease(self) -> None:
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{self.name}"
        while not self._closed.wait(_LEASE_S):
            self._reached.wait()
            try:
                self._call("PATCH", path, {"spec": self._lease()}, _MERGE)
                self._beat()
            except BROKEN:
                continue

    def _keep_pods(self) -> None:
        query = f"/api/v1/pods?fieldSelector=spec.nodeName%3D{self.name}"
        while not self._closed.is_set():
            self._reached.wait()
            try:
                found = self._call("GET", query)
                for item in found["items"]:
                    self._see(item)
                self._end_others({item["metadata"]["uid"] for item in found["items"]})
                version = found["metadata"]["resourceVersion"]
                for event in self._watch(f"{query}&watch=true&timeoutSeconds=20&resourceVersion={version}"):
                    if not self._reached.is_set() or event["type"] == "ERROR" or self._closed.is_set():
                        break
                    if event["type"] == "DELETED":
                        self._end(event["object"]["metadata"]["uid"])
                    else:
                        self._see(event["object"])
            except BROKEN:
                time.sleep(0.2)

    def _end_others(self, there: set[str]) -> None:
        with self._guard:
            gone = self._pods.keys() - there
        for uid in gone:
            self._end(uid)

    def _end(self, uid: str) -> None:
        with self._guard:
            pod = self._pods.pop(uid, None)
        if pod is not None:
            pod.end(0.0)

    def _see(self, item: Json) -> None:
        uid = item["metadata"]["uid"]
        with self._guard:
            pod = self._pods.get(uid)
            if pod is None:
                if item["status"].get("phase", "Pending") != "Pending":
                    return
                pod = self._pods[uid] = Pod(self, item, self._folder / f"{uid}.log")
                threading.Thread(target=pod.run, name=f"pod-{uid[:8]}", daemon=True).start()
        if item["metadata"].get("deletionTimestamp"):
            pod.end(float(item["metadata"].get("deletionGracePeriodSeconds", 30)))


class Pod:
    """A pod on a node: one process in its own session."""

    def __init__(self, node: Kubelet, item: Json, log: Path) -> None:
        meta = item["metadata"]
        self.uid = meta["uid"]
        self.path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        self.child: Child | None = None
        self._node, self._item, self._log = node, item, log
        number = next(_ADDRESSES)
        self.address = f"127.1.{number >> 8 & 255}.{number & 255}"
        self._ending = threading.Event()
        self._grace_s = 30.0

    def end(self, grace_s: float) -> None:
        """It has been deleted: SIGTERM, and SIGKILL after the grace period."""
        self._grace_s = grace_s
        self._ending.set()

    def kill(self) -> None:
        """At once."""
        if self.child is not None:
            self.child.kill()

    def run(self) -> None:
        """Its whole life."""
        began = _now()
        spec = self._item["spec"]
        code, reason = -1, ""
        if not self._ending.is_set():
            container = spec["containers"][0]
            line = [*container.get("command", ()), *container.get("args", ())]
            self.child = Child(line, folder=Path("/"), log=self._log, env=self._environment(container))
            self._node.tell(self, self._status("Running", {"running": {"startedAt": began}}, began))
            code, reason = self._wait(self.child, spec.get("activeDeadlineSeconds"))
        ended: Json = {"exitCode": code if code >= 0 else 128 - code, "startedAt": began, "finishedAt": _now()}
        ended["reason"] = "Completed" if code == 0 else "Error"
        if code and self.child is not None:
            ended["message"] = self.child.output(2000)
        status = self._status("Succeeded" if code == 0 else "Failed", {"terminated": ended}, began)
        self._node.tell(self, status | ({"reason": reason} if reason else {}))
        self._ending.wait()
        self._node.remove(self)

    def _wait(self, child: Child, deadline_s: float | None) -> tuple[int, str]:
        began = time.monotonic()
        while (code := child.exit_code) is None:
            if self._ending.is_set():
                return child.stop(timeout_s=self._grace_s), ""
            if deadline_s is not None and time.monotonic() - began > deadline_s:
                return child.stop(timeout_s=self._grace_s), "DeadlineExceeded"
            time.sleep(_POLL_S)
        return code, ""

    def _environment(self, container: Json) -> dict[str, str]:
        known = {"PATH": os.environ["PATH"]}
        for item in container.get("env", ()):
            if "valueFrom" in item:
                path = item["valueFrom"]["fieldRef"]["fieldPath"]
                label = _LABEL.fullmatch(path)
                assert label is not None or path == "status.podIP", item
                known[item["name"]] = self._item["metadata"]["labels"][label[1]] if label else self.address
            else:
                known[item["name"]] = item.get("value", "")
        return known

    def _status(self, phase: str, state: Json, began: str) -> Json:
        container = self._item["spec"]["containers"][0]
        said = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
        said |= {"ready": phase == "Running", "started": phase == "Running", "state": state}
        ready = {"type": "Ready", "status": "True" if phase == "Running" else "False"}
        known = [item for item in self._item["status"].get("conditions", ()) if item["type"] != "Ready"]
        addresses = {"podIP": self.address, "podIPs": [{"ip": self.address}]}
        told = {"conditions": [*known, ready], "containerStatuses": [said]} | addresses
        return {"phase": phase, "startTime": began} | told


def _now(form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    return datetime.now(UTC).strftime(form)


def lines(chunks: Iterator[bytes]) -> Iterator[Json]:
    """The JSON documents of a watch, one a line."""
    left = b""
    for chunk in chunks:
        *whole, left = (left + chunk).split(b"\n")
        for line in whole:
            yield json.loads(line)
