"""Settings of compute-scheduler."""

from __future__ import annotations

from typing import Literal

from brain_kit.settings import PlatformSettings
from pydantic import Field


class Settings(PlatformSettings):
    """Settings of compute-scheduler, environment prefix BRAIN_COMPUTE_SCHEDULER_."""

    compute_scheduler_interval_s: float = Field(
        0.5, gt=0, le=60, description="Seconds between plans when nothing has happened in this process."
    )
    compute_scheduler_lease_s: float = Field(
        10.0, ge=1, le=600, description="Seconds after which another scheduler may take over from a silent one."
    )
    compute_scheduler_agent_lease_s: float = Field(
        20.0, ge=1, le=3600, description="Seconds of silence after which a centre gets no new work."
    )
    compute_scheduler_gang_hold_s: float = Field(
        600.0,
        gt=0,
        description="Seconds that members of a gang wait for its others (and their inputs); then all go back.",
    )
    compute_scheduler_queue_per_tenant: int = Field(
        1000, ge=1, description="Waiting jobs of one tenant that a plan looks at, those of the highest priority first."
    )
    compute_scheduler_most_queued: int = Field(
        100_000, ge=1, description="Jobs of one tenant that may wait; more are refused."
    )
    compute_scheduler_price_s: float = Field(
        0.0, ge=0, description="Seconds of waiting that a yuan counts when the centre of a job is chosen; 0: nothing."
    )
    compute_scheduler_carbon_s: float = Field(
        0.0,
        ge=0,
        description="Seconds of waiting that a kg of CO2 counts when the centre of a job is chosen; 0: nothing.",
    )
    compute_scheduler_longest_hold_s: float = Field(
        0.0, ge=0, description="Seconds that a job may be held back for a cheaper or cleaner centre without room."
    )
    compute_scheduler_wait_weight: float = Field(
        10.0, ge=1, description="How many seconds each second of predicted wait counts before a job is held back."
    )
    compute_scheduler_time_limit_s: int = Field(3600, ge=1, description="Time limit of a job that names none.")
    compute_scheduler_preemption: bool = Field(
        False, description="Whether running jobs of a lower priority are stopped and queued again for blocked ones."
    )
    compute_scheduler_preempt_after_s: float = Field(
        300.0, ge=0, description="Seconds that a blocked job's reserved start must be away before others make way."
    )
    compute_scheduler_preempt_every_s: float = Field(
        60.0, ge=0, description="Least seconds between two plans that let jobs make way."
    )
    compute_scheduler_preempt_most: int = Field(4, ge=1, description="Jobs that may have to make way in one plan.")
    compute_scheduler_preempt_per_job: int = Field(2, ge=1, description="How often one job may have to make way.")
    compute_scheduler_late_jobs: Literal["refuse", "warn"] = Field(
        "refuse",
        description="What becomes of a job that misses its deadline if running jobs use their whole time limits.",
    )
    compute_scheduler_default_cores: float = Field(
        64.0, ge=0, description="Cores that operators and departments may use without a quota of their own; 0: none."
    )
    compute_scheduler_default_memory_mb: int = Field(
        262_144, ge=0, description="Memory in MB that operators and departments may use without a quota of their own."
    )
    compute_scheduler_most_file_bytes: int = Field(2 << 30, ge=1, description="Largest file of a job.")
    compute_scheduler_log_days: float = Field(30.0, gt=0, description="Days that logs of ended jobs are kept.")
    compute_scheduler_local: bool = Field(
        True, description="Whether `brain up` makes the centre `local` of this machine at its first start."
    )
    compute_scheduler_local_apart: bool = Field(
        False, description="Whether the agent of the local centre runs in a process of its own; `brain up` says so."
    )
    compute_scheduler_local_cores: float = Field(
        0.0, ge=0, description="Cores that the local centre offers; 0: those of the machine."
    )
    compute_scheduler_local_memory_mb: int = Field(
        0, ge=0, description="Memory in MB that the local centre offers; 0: three quarters of the machine's."
    )
    compute_scheduler_job_disk_mb: int = Field(
        10_000, ge=1, description="MB that a job may write into its working folder."
    )
    compute_scheduler_job_log_bytes: int = Field(8_000_000, ge=1000, description="Bytes of a job's log that are kept.")
    compute_scheduler_job_processes: int = Field(256, ge=1, description="Processes that a job may have at one time.")
    compute_scheduler_job_grace_s: float = Field(
        5.0, ge=0, le=600, description="Seconds between the request to end (SIGTERM) and the end by force."
    )
    compute_scheduler_job_nice: int = Field(5, ge=0, le=19, description="How far jobs stand back behind the platform.")
    compute_scheduler_job_network: bool = Field(True, description="Whether jobs may open TCP connections.")
    compute_scheduler_job_readable: list[str] = Field(
        [], description="JSON list of folders that jobs may read beside the system's programs and libraries."
    )
    compute_scheduler_job_writable: list[str] = Field(
        [], description="JSON list of folders that jobs may write to beside their own, such as a scratch share."
    )
    compute_scheduler_data_centres: list[str] = Field(
        ["local"], description="JSON list of the centres that stand beside the warehouse and hold what it holds."
    )
    compute_scheduler_staying_classes: list[str] = Field(
        ["重要", "核心"],
        description="JSON list of the classes (GB/T 43697) whose data sets stay there, unless a rule says otherwise.",
    )
    compute_scheduler_assumed_gbit_s: float = Field(
        1.0,
        ge=0,
        le=1e6,
        description="Gbit/s taken for two centres that no path of links joins; 0: no data move there.",
    )
    compute_scheduler_replica_mb: int = Field(
        50_000, ge=0, description="MB of data sets that an agent keeps for jobs; the longest unused go first."
    )
    compute_scheduler_replica_spare_mb: int = Field(
        1_000, ge=0, description="MB that stay free on the disk where an agent keeps data sets."
    )
    compute_scheduler_staging_weight: float = Field(
        1.0, ge=0, le=1000, description="Seconds of waiting that a job takes to save a second of bringing its data."
    )
    compute_scheduler_simulation_most_jobs: int = Field(
        50_000, ge=1, description="Most jobs of one simulation; of more the rest is left out."
    )
    compute_scheduler_simulation_trace_bytes: int = Field(
        50_000_000, ge=1, description="Largest log that a simulation takes, as uploaded."
    )
    compute_scheduler_simulation_limit_s: float = Field(
        1800.0, gt=0, description="Seconds after which a simulation is stopped."
    )
    compute_scheduler_lending_reclaim_after_s: float = Field(
        60.0, ge=0,
        description="Seconds that an own job's reserved start must be away before lent jobs make way (reclaim `stop`).",
    )  # fmt: skip
    compute_scheduler_lending_hold_s: float = Field(
        60.0, gt=0, description="Seconds that a lent job keeps its place while the borrower's word to begin is awaited."
    )
    compute_scheduler_lending_look_s: float = Field(
        1.0, gt=0, le=60, description="Least seconds between two looks of an agent at the brain that it borrows from."
    )
    compute_scheduler_job_beat_s: float = Field(
        5.0, gt=0, le=60, description="Seconds between two signs of life of a job in a cluster with a queue of its own."
    )
    compute_scheduler_engine_look_s: float = Field(
        1.0, gt=0, le=60, description="Least seconds between two looks of an agent at its cluster."
    )
    compute_scheduler_engine_lost_s: float = Field(
        60.0, gt=0, le=86_400,
        description="Seconds without a sign of life after which a job that its cluster does not know is given up.",
    )  # fmt: skip
    compute_scheduler_engine_patience_s: float = Field(
        60.0, ge=0, le=86_400,
        description="Seconds that a job which has not begun waits for a silent cluster before it queues again.",
    )  # fmt: skip
    compute_scheduler_kubernetes_accelerators: dict[str, str] = Field(
        {"gpu": "nvidia.com/gpu"},
        description="JSON object: each kind of accelerator that jobs may name, and its resource in Kubernetes; where "
        "kinds share one, with the label of their nodes: nvidia.com/gpu@nvidia.com/gpu.product=NVIDIA-A100-SXM4-80GB.",
    )
    compute_scheduler_kubernetes_kept_s: int = Field(
        3600, ge=0, description="Seconds that a Job stays in Kubernetes once its result is recorded."
    )
