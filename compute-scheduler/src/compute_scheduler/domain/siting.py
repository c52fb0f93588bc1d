"""Where a job would best run: what each centre costs it in staging, money and carbon, as one number in seconds.

Specification. For a job that would start now and use its whole time limit at a centre:

- staging: what the job's `stages` say of the centre; else `staging_s` at any other centre than its home, 0 at home or
  without one. moving: yuan that its `stages` say;
- money: what it asks for times the centre's price per hour, times the tariff of each moment;
- energy: what it asks for times the centre's power; carbon: energy times the intensity of each moment; electricity:
  energy times what a kWh costs at each moment.

The score is `staging_weight * staging_s + price_s * (money + moving + electricity) + carbon_s * co2_kg`: seconds of
waiting that the job would take to avoid it. A centre that does not tell its price, electricity or carbon counts as the
most that another centre in question tells, so that silence is never cheap. The least score comes first, then home, then
the least `cost` of the centre, then its id. The data rule is hard and stands before all scores: a job never leaves the
centres that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter

from compute_scheduler.domain import gangs, reasons
from compute_scheduler.domain.decisions import Reason, Site
from compute_scheduler.domain.hourly import HOUR_S
from compute_scheduler.domain.placement import NodeIndex
from compute_scheduler.domain.resources import ANY_OF, MILLI
from compute_scheduler.domain.shapes import Shape
from compute_scheduler.domain.snapshot import Centre, Policy, QueuedJob
from compute_scheduler.domain.timeline import End, fits
from compute_scheduler.domain.windows import Windows

JOULE_PER_KWH = 3.6e6
ANY = "*"
_Cost = tuple[float, float | None, float | None, float | None, float, float | None]


class Siting:
    """The costs of one plan."""

    def __init__(
        self, centres: Mapping[str, Centre], policy: Policy, now: float, windows: Windows | None = None
    ) -> None:
        self.centres, self.policy, self.now, self.windows = centres, policy, now, windows
        told = centres.values()
        self._weighs_all = bool(policy.price_s) and any(centre.prices or centre.electricity for centre in told)
        self._weighs_all |= bool(policy.carbon_s) and any(centre.carbon for centre in told)
        self._weighs_data = bool(policy.staging_weight or policy.price_s)
        self._waits: dict[tuple[Shape, str], float | None] = {}

    def matters(self, job: QueuedJob) -> bool:
        """Whether the policy weighs anything that a centre may cost this job."""
        return self._weighs_all or (self._weighs_data and bool(job.stages or job.staging_s))

    def cost(self, job: QueuedJob, shape: Shape, centre: Centre) -> _Cost:
        """What a centre costs the job: staging seconds, yuan, kWh, kg of CO2, yuan for moving data and for energy."""
        until = self.now + job.time_limit_s
        stage = job.stages.get(centre.id)
        if stage is not None:
            staging_s, moving = stage.seconds, stage.yuan
        else:
            staging_s, moving = (job.staging_s if job.home is not None and centre.id != job.home else 0.0), 0.0
        money = energy_kwh = co2_kg = energy_yuan = None
        if centre.prices:
            seconds = centre.tariff.integral_s(self.now, until) if centre.tariff else job.time_limit_s
            money = _amount(shape, centre.prices) * seconds / HOUR_S
        if centre.power_w:
            watts = _amount(shape, centre.power_w)
            energy_kwh = watts * job.time_limit_s / JOULE_PER_KWH
            if centre.carbon is not None:
                co2_kg = watts * centre.carbon.integral_s(self.now, until) / JOULE_PER_KWH / 1000.0
            if centre.electricity is not None:
                energy_yuan = watts * centre.electricity.integral_s(self.now, until) / JOULE_PER_KWH
        return staging_s, money, energy_kwh, co2_kg, moving, energy_yuan

    def ranked(self, job: QueuedJob, shape: Shape) -> list[Site]:
        """The open centres where the job may run, the best first."""
        policy = self.policy
        costs = [
            (centre, self.cost(job, shape, centre))
            for centre in self.centres.values()
            if centre.state == "open" and (not shape.centres or centre.id in shape.centres)
        ]
        dearest = max((cost[1] for _, cost in costs if cost[1] is not None), default=0.0)
        dirtiest = max((cost[3] for _, cost in costs if cost[3] is not None), default=0.0)
        dearest_energy = max((cost[5] for _, cost in costs if cost[5] is not None), default=0.0)
        scored = []
        for centre, cost in costs:
            money = dearest if cost[1] is None else cost[1]
            co2_kg = dirtiest if cost[3] is None else cost[3]
            yuan = money + cost[4] + (dearest_energy if cost[5] is None else cost[5])
            score_s = policy.staging_weight * cost[0] + policy.price_s * yuan + policy.carbon_s * co2_kg
            site = Site(centre.id, *cost[:4], score_s, *cost[4:])
            scored.append((score_s, centre.id != job.home, centre.cost, centre.id, site))
        scored.sort(key=itemgetter(0, 1, 2, 3))
        return [entry[4] for entry in scored]

    def told(self, job: QueuedJob, shape: Shape, centre_id: str) -> Site | None:
        """What the centre costs the job where nothing is weighed; None when there is nothing to tell."""
        centre = self.centres[centre_id]
        if not (centre.prices or centre.power_w or job.staging_s or job.stages):
            return None
        cost = self.cost(job, shape, centre)
        return Site(centre_id, *cost[:4], moving=cost[4], energy_yuan=cost[5])

    def better(
        self,
        job: QueuedJob,
        shape: Shape,
        full: Iterable[Site],
        chosen: Site,
        index: NodeIndex,
        ends: Callable[[], Iterable[End]],
    ) -> Reason | None:
        """Why the job waits for one of the centres without room instead of starting at the chosen one, if it does."""
        latest = job.submitted_at + self.policy.longest_hold_s
        if job.deadline_at is not None:
            latest = min(latest, job.deadline_at - job.time_limit_s)
        if latest <= self.now:
            return None  # no wait is short enough, and none need be reckoned
        best: tuple[float, str, float] | None = None
        for site in full:
            until = latest + job.time_limit_s
            if self.windows is not None and self.windows.touches(site.centre, shape.uses, self.now, until):
                continue
            wait_s = self._wait_s(shape, site.centre, index, ends)
            if not wait_s or self.now + wait_s > latest:
                continue
            score_s = site.score_s + self.policy.wait_weight * wait_s
            if score_s < chosen.score_s and (best is None or (score_s, site.centre) < best[:2]):
                best = (score_s, site.centre, wait_s)
        return best and reasons.better_site(best[1], chosen.centre, self.now + best[2])

    def forget_waits(self) -> None:
        """After a start, what was predicted no longer holds."""
        self._waits.clear()

    def _wait_s(self, shape: Shape, centre: str, index: NodeIndex, ends: Callable[[], Iterable[End]]) -> float | None:
        """How long until running jobs leave room at a centre that has none, reservations aside; None: for ever."""
        key = (shape, centre)
        if key not in self._waits:
            self._waits[key] = self._room(shape, centre, index, ends())
        return self._waits[key]

    def _room(self, shape: Shape, centre: str, index: NodeIndex, ends: Iterable[End]) -> float | None:
        if shape.gang > 1:
            end_at = gangs.room_at(shape, centre, index, ends)
            return None if end_at is None else max(end_at - self.now, 0.0)
        freed: dict[int, dict[str, int]] = {}
        for end_at, place, _job_id, ended in ends:
            if index.nodes[place].centre != centre or not index.open[place]:
                continue
            free = freed.get(place)
            if free is None:
                free = freed[place] = index.free(place)
            for name, amount in ended.amounts:
                free[name] = free.get(name, 0) + amount
            if fits(index.on(place, shape).amounts, free):
                return max(end_at - self.now, 0.0)
        return None


def _amount(shape: Shape, per_unit: Mapping[str, float]) -> float:
    """What a shape asks for, times a figure per core, MB or accelerator (`*`: any other kind of accelerator).

    Resources without a figure count nothing; of several kinds that it may take the dearest counts.
    """
    total = 0.0
    for name, units in shape.total:
        other = 0.0 if name in ("cores", "memory_mb") else per_unit.get(ANY, 0.0)
        figure = max(per_unit.get(one, other) for one in name.split(ANY_OF))
        total += figure * (units if name == "memory_mb" else units / MILLI)
    return total
