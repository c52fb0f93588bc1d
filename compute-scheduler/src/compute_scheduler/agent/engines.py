"""The engine that a centre's agent works with, from what its operator says on the command line."""

from __future__ import annotations

import getpass
import math
from dataclasses import dataclass
from pathlib import Path

from compute_scheduler.agent.limits import limits_of
from compute_scheduler.engine import rules
from compute_scheduler.engine.cluster import Cluster
from compute_scheduler.engine.contract import Engine
from compute_scheduler.settings import Settings

KINDS = ("local", "slurm", "ray", "kubernetes", "brain")
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class EngineUnclear(ValueError):
    """What was said does not make an engine; the text says which option is missing or wrong."""


@dataclass(frozen=True)
class EngineOptions:
    """What an operator says of an engine.

    url: of slurmrestd, Ray's dashboard or the API server of Kubernetes. token_file: with the JWT, or the service
    account's token. shared: folder that the agent and the nodes both see under this path. desk: host:port where copies
    ask whether they may begin; the host as nodes reach it. ca_file and what follows are Kubernetes's, see `JobOptions`.
    """

    kind: str = "local"
    cores: float = 0.0
    memory_mb: int = 0
    url: str = ""
    token_file: Path | None = None
    user: str = ""
    partition: str = ""
    shared: Path | None = None
    desk: str = "127.0.0.1:0"
    ca_file: Path | None = None
    namespace: str = ""
    image: str = ""
    service_account: str = ""
    claim: str = ""
    kueue_queue: str = ""
    scheduler: str = ""
    volcano_queue: str = ""
    loan: str = ""


def engine_of(root: Path, settings: Settings, options: EngineOptions) -> Engine:
    """The engine. root: folder of the agent. Raises EngineUnclear."""
    if options.kind == "local":
        from compute_scheduler.engine.local import LocalEngine

        return LocalEngine(root, limits_of(settings), options.cores, options.memory_mb)
    if options.kind == "brain":
        return _brain(root, settings, options)
    from compute_scheduler.engine.batch import BatchEngine, BatchSettings

    host, port = _address(options.desk)
    beat_s = settings.compute_scheduler_job_beat_s
    batch = BatchSettings(
        shared=(options.shared or root / "shared").resolve(),
        address=("0.0.0.0" if host not in ("127.0.0.1", "localhost") else host, port),  # noqa: S104 - nodes ask here
        reach=host,
        look_s=settings.compute_scheduler_engine_look_s,
        grace_s=settings.compute_scheduler_job_grace_s,
        log_bytes=settings.compute_scheduler_job_log_bytes,
        # A member of a gang asks for longer than the service waits for the others.
        claim_s=max(600.0, settings.compute_scheduler_gang_hold_s + 60.0),
        times=rules.Times(
            beat_s,
            max(settings.compute_scheduler_engine_lost_s, 4 * beat_s),
            settings.compute_scheduler_engine_patience_s,
        ),
    )
    return BatchEngine(root, _cluster(options, settings), batch)


def _brain(root: Path, settings: Settings, options: EngineOptions) -> Engine:
    from compute_scheduler.engine.brain import BrainEngine
    from compute_scheduler.engine.partner import partner_at

    if not options.url.startswith(("http://", "https://")):
        raise EngineUnclear("--engine-url 应为出借方平台的地址，例如 https://brain.province.example.cn")
    if options.token_file is None or not options.token_file.is_file():
        raise EngineUnclear("--token-file 应为存有借入密钥的文件（出借方 brain lending key 的输出）")
    if not options.loan:
        raise EngineUnclear("--engine brain 需要 --loan：出借的编号，由出借方告知")
    return BrainEngine(
        root,
        partner_at(options.url, options.token_file, options.loan),
        look_s=settings.compute_scheduler_lending_look_s,
        log_bytes=settings.compute_scheduler_job_log_bytes,
        lost_s=settings.compute_scheduler_engine_lost_s,
    )


def _cluster(options: EngineOptions, settings: Settings) -> Cluster:
    if options.kind == "kubernetes":
        return _kubernetes(options, settings)
    if not options.url.startswith(("http://", "https://")):
        raise EngineUnclear("--engine-url 应为集群接口的地址，例如 http://slurm.example.cn:6820")
    if options.kind == "ray":
        from compute_scheduler.engine.ray import Ray

        return Ray(options.url)
    if options.kind == "slurm":
        from compute_scheduler.engine.slurm import Slurm

        if options.token_file is None or not options.token_file.is_file():
            raise EngineUnclear("--token-file 应为存有 Slurm 令牌的文件（scontrol token 的输出）")
        return Slurm(options.url, options.token_file, options.user or getpass.getuser(), options.partition)
    raise EngineUnclear(f"没有名为 {options.kind} 的引擎，可用：{'、'.join(KINDS)}")


def _kubernetes(options: EngineOptions, settings: Settings) -> Cluster:
    """Where the agent is a pod itself, its service account says what was not said."""
    from compute_scheduler.engine.kubernetes import Kubernetes
    from compute_scheduler.engine.kubernetes_jobs import JobOptions

    is_inside = not options.url and (_ACCOUNT / "token").is_file()
    url = "https://kubernetes.default.svc" if is_inside else options.url
    token_file = options.token_file or (_ACCOUNT / "token" if is_inside else None)
    ca_file = options.ca_file or (_ACCOUNT / "ca.crt" if is_inside else None)
    if not url.startswith(("http://", "https://")):
        raise EngineUnclear("--engine-url 应为 Kubernetes API 的地址，例如 https://10.1.0.5:6443")
    if token_file is None or not token_file.is_file():
        raise EngineUnclear("--token-file 应为存有服务账号令牌的文件（kubectl create token 的输出）")
    if ca_file is not None and not ca_file.is_file():
        raise EngineUnclear(f"--ca-file 没有这个文件：{ca_file}")
    if not options.namespace or not options.image:
        raise EngineUnclear("--engine kubernetes 需要 --namespace（作业所在的命名空间）和 --image（含 bash 的镜像）")
    if options.shared is None:
        raise EngineUnclear("--engine kubernetes 需要 --shared：代理和各节点在同一路径下看到的共享目录")
    if options.volcano_queue and not options.scheduler:
        raise EngineUnclear("--volcano-queue 需要同时给出 --pod-scheduler volcano")
    jobs = JobOptions(
        options.namespace, options.image, options.service_account, options.claim,
        dict(settings.compute_scheduler_kubernetes_accelerators), options.kueue_queue, options.scheduler,
        options.volcano_queue, math.ceil(settings.compute_scheduler_engine_lost_s),
    )  # fmt: skip
    return Kubernetes(url, token_file, jobs, ca_file, settings.compute_scheduler_kubernetes_kept_s)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise EngineUnclear(f"--desk 应写成 主机:端口，例如 10.1.0.5:7070，而不是 {text[:60]}")
    return host, int(port)
