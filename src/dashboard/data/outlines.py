"""Compute the outlines of the map's areas from the stations: each point belongs to the area of the nearest station.

Voronoi cells are clipped to a hull around the stations and dissolved by area, so that the map needs no tiles from
other servers. Pure; input and output in degrees (WGS 84), computed in kilometres.
"""

import heapq
import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MARGIN_KM = 0.7  # between the outermost stations and the hull
KM_PER_DEGREE = 111.32
MAX_LOCATIONS = 20_000
DIGITS = 5  # decimals of a degree: about a metre
HULL_STEPS = 12  # points of the circle around each station

Point = tuple[float, float]  # kilometres east and north


@dataclass(frozen=True)
class StationLocation:
    """The coordinates of a station and the name of its area, if known."""

    latitude: float
    longitude: float
    area: str | None


@dataclass(frozen=True)
class Outline:
    """An area: its displayed name, and its rings of [longitude, latitude]."""

    area: str
    rings: list[list[list[float]]]


def fold_name(name: str) -> str:
    """Return a name in upper case, without accents and hyphens, so that its spellings compare equal."""
    decomposed = unicodedata.normalize("NFKD", name)
    letters = "".join(
        each if each.isalnum() else " " for each in decomposed if not unicodedata.combining(each)
    )
    return " ".join(letters.upper().split())


def merge_names(names: Iterable[str]) -> dict[str, str]:
    """Map each folded name to its long form, if present: MARQUETTE to MARQUETTE LEZ LILLE."""
    folded = sorted({fold_name(name) for name in names})
    return {
        short: next((each for each in folded if each.startswith(f"{short} LEZ ")), short) for short in folded
    }


def compute_outlines(locations: Sequence[StationLocation]) -> list[Outline]:
    """Return the outline of each area, sorted by name; a single outline without a name if there are no areas.

    Returns none for fewer than three locations, or for more than MAX_LOCATIONS, which would take seconds.
    """
    spots = {(location.latitude, location.longitude): location for location in locations}
    if not 3 <= len(spots) <= MAX_LOCATIONS:
        return []
    merged = merge_names(location.area for location in spots.values() if location.area)
    middle = sum(latitude for latitude, _ in spots) / len(spots)
    scale = KM_PER_DEGREE * math.cos(math.radians(middle))
    points = [(longitude * scale, latitude * KM_PER_DEGREE) for latitude, longitude in spots]
    areas = [merged[fold_name(location.area)] if location.area else "" for location in spots.values()]
    spellings = Counter(location.area for location in spots.values() if location.area)
    # The most frequent spelling of each name, with its accents and hyphens.
    by_count = sorted(sorted(spellings, reverse=True), key=lambda name: spellings[name])
    displayed = {fold_name(name): name for name in by_count}
    border: dict[str, list[tuple[Point, Point]]] = defaultdict(list)
    for index, cell in enumerate(_compute_cells(points, _compute_hull(points))):
        for begin, end, neighbour in cell:
            if neighbour is None or areas[neighbour] != areas[index]:
                border[areas[index]].append((begin, end))
    return [
        Outline(
            displayed.get(area, area),
            [
                [[round(x / scale, DIGITS), round(y / KM_PER_DEGREE, DIGITS)] for x, y in ring]
                for ring in _join_edges(border[area])
            ],
        )
        for area in sorted(border)
    ]


def _compute_hull(points: Sequence[Point]) -> list[Point]:
    """Return the convex hull of circles around the points, counter-clockwise (Andrew's monotone chain)."""
    turns = [2 * math.pi * step / HULL_STEPS for step in range(HULL_STEPS)]
    circle_points = sorted(
        {
            (x + MARGIN_KM * math.cos(turn), y + MARGIN_KM * math.sin(turn))
            for x, y in points
            for turn in turns
        }
    )
    halves: list[list[Point]] = []
    for line in (circle_points, circle_points[::-1]):
        half: list[Point] = []
        for point in line:
            while len(half) > 1 and _cross_product(half[-2], half[-1], point) <= 0:
                half.pop()
            half.append(point)
        halves.append(half[:-1])
    return halves[0] + halves[1]


def _cross_product(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


Edge = tuple[Point, Point, int | None]  # start, end, and the index of the point on the other side


def _compute_cells(points: Sequence[Point], hull: list[Point]) -> Iterable[list[Edge]]:
    """Yield the Voronoi cell of each point, clipped to the hull, as edges in order."""
    grid = _Grid(points)
    for index, (x, y) in enumerate(points):
        cell: list[Edge] = [(hull[n], hull[(n + 1) % len(hull)], None) for n in range(len(hull))]
        reach = max(math.dist((x, y), begin) for begin, _, _ in cell)
        for distance, other in grid.find_nearest(index):
            if distance / 2 > reach:
                break
            cell = _clip_cell(cell, (x, y), points[other], other)
            reach = max(math.dist((x, y), begin) for begin, _, _ in cell)
        yield cell


class _Grid:
    """A grid with about two points per square, to find the nearest points without comparing all."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = points
        east, north = (max(axis) - min(axis) for axis in zip(*points, strict=True))
        self._side = max(math.sqrt(2 * east * north / len(points)), max(east, north) / len(points), 1e-6)
        self._squares: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, point in enumerate(points):
            self._squares[self._square(point)].append(index)
        columns, rows = zip(*self._squares, strict=True)
        self._ring_count = max(max(columns) - min(columns), max(rows) - min(rows)) + 1

    def find_nearest(self, index: int) -> Iterator[tuple[float, int]]:
        """Yield the distance and index of each other point, nearest first."""
        point = self._points[index]
        column, row = self._square(point)
        found: list[tuple[float, int]] = []
        for ring in range(self._ring_count + 1):
            for square in _list_ring_squares(column, row, ring):
                for other in self._squares.get(square, ()):
                    if other != index:
                        heapq.heappush(found, (math.dist(point, self._points[other]), other))
            # Points in later rings are further away.
            while found and found[0][0] <= ring * self._side:
                yield heapq.heappop(found)
        while found:
            yield heapq.heappop(found)

    def _square(self, point: Point) -> tuple[int, int]:
        return math.floor(point[0] / self._side), math.floor(point[1] / self._side)


def _list_ring_squares(column: int, row: int, ring: int) -> Iterator[tuple[int, int]]:
    """Yield the squares at the Chebyshev distance `ring`."""
    for x in range(column - ring, column + ring + 1):
        if abs(x - column) == ring:
            yield from ((x, y) for y in range(row - ring, row + ring + 1))
        else:
            yield x, row - ring
            yield x, row + ring


def _clip_cell(cell: list[Edge], near: Point, far: Point, other: int) -> list[Edge]:
    """Return the part of a convex cell that is nearer to `near` than to `far`; the new edge borders `other`."""
    direction = far[0] - near[0], far[1] - near[1]
    middle = (near[0] + far[0]) / 2, (near[1] + far[1]) / 2

    def beyond(point: Point) -> float:
        return (point[0] - middle[0]) * direction[0] + (point[1] - middle[1]) * direction[1]

    kept: list[Edge] = []
    entry = exit_ = None
    for begin, end, neighbour in cell:
        first, second = beyond(begin), beyond(end)
        if first <= 0 and second <= 0:
            kept.append((begin, end, neighbour))
        elif first <= 0 or second <= 0:
            share = first / (first - second)
            cut = begin[0] + share * (end[0] - begin[0]), begin[1] + share * (end[1] - begin[1])
            if first <= 0:
                exit_ = cut
                kept.append((begin, cut, neighbour))
                position = len(kept)
            else:
                entry = cut
                kept.append((cut, end, neighbour))
    if exit_ is not None and entry is not None:
        kept.insert(position, (exit_, entry, other))
    return kept


def _join_edges(edges: Iterable[tuple[Point, Point]]) -> list[list[Point]]:
    """Join edges to closed rings; ends within a metre are the same point."""

    def key(point: Point) -> tuple[int, int]:
        return round(point[0] * 1000), round(point[1] * 1000)

    following: dict[tuple[int, int], list[tuple[Point, Point]]] = defaultdict(list)
    for begin, end in edges:
        if key(begin) != key(end):
            following[key(begin)].append((begin, end))
    rings: list[list[Point]] = []
    while following:
        start = next(iter(following))
        ring: list[Point] = []
        at = start
        while following.get(at):
            begin, end = following[at].pop()
            if not following[at]:
                del following[at]
            ring.append(begin)
            at = key(end)
        if len(ring) > 2:
            rings.append(ring)
        following.pop(at, None) if not following.get(at) else None
    return rings
