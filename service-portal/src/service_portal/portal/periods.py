"""The periods that a page offers, newest first, each with its title in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service_portal.portal.formats import CHINA

YEARS, QUARTERS, MONTHS = 4, 8, 24


@dataclass(frozen=True)
class Choices:
    """Years, quarters and months up to now, as the API writes them."""

    years: list[str]
    quarters: list[str]
    months: list[str]

    def covers(self, period: str) -> bool:
        """Whether a period is among them."""
        return period in self.years or period in self.quarters or period in self.months


def period_choices(now: datetime) -> Choices:
    """The last years, quarters and months that have begun, by the Chinese calendar."""
    local = now.astimezone(CHINA)
    month = local.year * 12 + local.month - 1
    quarter = month // 3
    return Choices(
        [str(local.year - back) for back in range(YEARS)],
        [f"{(quarter - back) // 4}Q{(quarter - back) % 4 + 1}" for back in range(QUARTERS)],
        [f"{(month - back) // 12:04d}-{(month - back) % 12 + 1:02d}" for back in range(MONTHS)],
    )
