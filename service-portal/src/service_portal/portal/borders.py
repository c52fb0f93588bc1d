"""The borders that maps are drawn on, and a point inside each region of theirs."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).parent / "geo" / "borders.json"
Point = tuple[float, float]


@dataclass(frozen=True)
class Borders:
    """GeoJSON as it is sent to the browser, with a point (longitude, latitude) by region code, and its extent.

    extent: least longitude and latitude, greatest longitude and latitude.
    """

    content: bytes
    points: dict[str, Point]
    extent: tuple[float, float, float, float]

    def point_of(self, region: str | None) -> Point | None:
        """A point inside the region, or inside the city that it belongs to; None when the borders do not have it."""
        if not region:
            return None
        return self.points.get(region) or self.points.get(region[:4] + "00")

    def covers(self, point: Point) -> bool:
        """Whether a point lies within the extent."""
        west, south, east, north = self.extent
        return west <= point[0] <= east and south <= point[1] <= north


@functools.cache
def load_borders(path: Path | None) -> Borders:
    """The operator's borders, or those that ship. Raises OSError, ValueError for a file that is no such GeoJSON."""
    content = (path or SHIPPED).read_bytes()
    features = json.loads(content)["features"]
    points: dict[str, Point] = {}
    corners: list[Point] = []
    for feature in features:
        ring = list(_positions(feature["geometry"]["coordinates"]))
        corners += ring
        longitudes, latitudes = [x for x, _ in ring], [y for _, y in ring]
        middle = ((min(longitudes) + max(longitudes)) / 2, (min(latitudes) + max(latitudes)) / 2)
        place = feature["properties"].get("cp") or middle
        points[str(feature["properties"]["adcode"])] = (float(place[0]), float(place[1]))
    if not corners:
        raise ValueError("the borders have no position")
    west, east = min(x for x, _ in corners), max(x for x, _ in corners)
    south, north = min(y for _, y in corners), max(y for _, y in corners)
    return Borders(content, points, (west, south, east, north))


def _positions(coordinates: Any) -> Any:
    if isinstance(coordinates[0], int | float):
        yield (float(coordinates[0]), float(coordinates[1]))
    else:
        for inner in coordinates:
            yield from _positions(inner)
