"""The ONNX model of the component `demand-forecast`: Holt-Winters seasonal smoothing of a monthly series.

Level, trend and twelve seasonal factors are smoothed with alpha, beta and gamma (Holt 1957, Winters 1960), started as
R's `HoltWinters` starts them: trend and seasonal figure of a classical decomposition of the first two years. A negative
alpha, beta or gamma is chosen by the least squared one-step error, first on a coarse grid, then on a fine one.
Every candidate runs in the same scan over time, so the whole search is a few matrix operations a month.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from algorithm_dev.shipped.onnx_graph import BOOL, FP64, INT64, STRING, Graph

MONTHS = 12
START = 2 * MONTHS
COARSE = {
    "alpha": (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "beta": (0.0, 0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.5),
    "gamma": (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0),
}
FINE = {
    "alpha": (-0.08, -0.05, -0.025, 0.0, 0.025, 0.05, 0.08),
    "beta": (-0.03, -0.02, -0.01, -0.005, 0.0, 0.005, 0.01, 0.02, 0.03),
    "gamma": (-0.15, -0.1, -0.05, -0.025, 0.0, 0.025, 0.05, 0.1, 0.15),
}
WORST = 1e300
NORMAL_95 = 1.959963984540054
AXIS0, AXIS1 = (np.array([axis], np.int64) for axis in (0, 1))


def demand_forecast_model() -> bytes:
    """The model's bytes; the same on every machine."""
    graph = Graph("demand_forecast")
    year, month = (graph.input(name, INT64, ("rows",)) for name in ("year", "month"))
    demand = graph.input("demand", FP64, ("rows",))
    horizon = graph.input("horizon", INT64)
    multiplicative = graph.input("multiplicative", BOOL)
    given = {name: graph.input(name, FP64) for name in ("alpha", "beta", "gamma")}
    state, ok, clean = _checked(graph, year, month, demand, multiplicative)
    start = _start(graph, clean, multiplicative)
    observed = _part(graph, clean, MONTHS, None)
    fit = _fitted(graph, start, observed, multiplicative, given)
    _outputs(graph, _Context(year, month, horizon, multiplicative, observed, clean, state, ok), fit)
    return graph.model()


class _Context:
    """Values that the outputs need."""

    def __init__(self, *names: str) -> None:
        self.year, self.month, self.horizon, self.multiplicative, self.observed, self.series, self.state, self.ok = (
            names
        )


def _part(graph: Graph, value: str, first: int, last: int | None, axis: int = 0) -> str:
    end = np.iinfo(np.int64).max if last is None else last
    return graph.add("Slice", value, np.array([first]), np.array([end], np.int64), np.array([axis]))


def _all(graph: Graph, condition: str) -> str:
    number = graph.add("Cast", condition, to=FP64)
    least = graph.add("ReduceMin", graph.add("Concat", number, np.ones(1), axis=0), keepdims=0)
    return graph.add("Greater", least, np.float64(0.5))


def _checked(graph: Graph, year: str, month: str, demand: str, multiplicative: str) -> tuple[str, str, str]:
    """The state in words, whether it allows a forecast, and the series with ones in place of what is missing."""
    index = graph.add("Add", graph.add("Mul", year, np.int64(MONTHS)), month)
    steps = graph.add("Sub", _part(graph, index, 1, None), _part(graph, index, 0, -1))
    consecutive = _all(graph, graph.add("Equal", steps, np.int64(1)))
    missing = graph.add("IsNaN", demand)
    complete = _all(graph, graph.add("Not", missing))
    filled = graph.add("Where", missing, np.float64(1), demand)
    positive = _all(graph, graph.add("Greater", filled, np.float64(0)))
    negative_factor = graph.add("And", multiplicative, graph.add("Not", positive))
    clean = graph.add("Where", negative_factor, graph.add("Add", graph.add("Mul", filled, np.float64(0)), 1.0), filled)
    cases = [
        (graph.add("Not", consecutive), np.array("missing_months", object)),
        (graph.add("Not", complete), np.array("missing_values", object)),
        (negative_factor, np.array("not_positive", object)),
    ]
    state = graph.choose(cases, np.array("ok", object))
    ok = graph.add("And", graph.add("And", consecutive, complete), graph.add("Not", negative_factor))
    return state, ok, clean


def _start(graph: Graph, series: str, multiplicative: str) -> tuple[str, str, str]:
    """Level, trend and seasonal factors before the second year, as R's HoltWinters(start.periods = 2) has them."""
    weights = np.zeros((MONTHS, START))
    for row in range(MONTHS):  # centred moving average over 12 months, ends at half weight
        weights[row, row : row + MONTHS + 1] = 1 / MONTHS
        weights[row, [row, row + MONTHS]] = 0.5 / MONTHS
    line = np.linalg.pinv(np.column_stack([np.ones(MONTHS), np.arange(1, MONTHS + 1)]))
    first = _part(graph, series, 0, START)
    smooth = graph.add("MatMul", weights, first)
    coefficients = graph.add("MatMul", line, smooth)
    middle = _part(graph, series, MONTHS // 2, MONTHS // 2 + MONTHS)
    half = MONTHS // 2

    def figure(operator: str) -> str:
        raw = graph.add(operator, middle, smooth)  # months 7..12, then 1..6 of the next year
        ordered = graph.add("Concat", _part(graph, raw, half, None), _part(graph, raw, 0, half), axis=0)
        return graph.add(operator, ordered, graph.add("ReduceMean", ordered, keepdims=1))

    seasonal = graph.add("Where", multiplicative, figure("Div"), figure("Sub"))
    return _part(graph, coefficients, 0, 1), _part(graph, coefficients, 1, 2), seasonal


def _fitted(
    graph: Graph, start: tuple[str, str, str], observed: str, multiplicative: str, given: dict[str, str]
) -> dict[str, str]:
    """The best candidate's parameters, final level, trend and factors, and its one-step forecasts."""
    grids = np.array(list(product(*COARSE.values())))
    coarse = [
        graph.add("Where", graph.add("Less", value, 0.0), grids[:, column], value)
        for column, value in enumerate(given.values())
    ]
    best = _best(graph, start, observed, multiplicative, coarse)
    steps = np.array(list(product(*FINE.values())))
    fine = []
    for column, (name, value) in enumerate(given.items()):
        near = graph.add("Clip", graph.add("Add", best[name], steps[:, column]), 0.0, 1.0)
        fine.append(graph.add("Where", graph.add("Less", value, 0.0), near, value))
    return _best(graph, start, observed, multiplicative, fine)


def _best(
    graph: Graph, start: tuple[str, str, str], observed: str, multiplicative: str, candidates: list[str]
) -> dict[str, str]:
    ones = graph.add("Add", graph.add("Mul", candidates[0], 0.0), 1.0)
    level, trend = (graph.add("Mul", ones, item) for item in start[:2])
    seasonal = graph.add("Mul", graph.add("Unsqueeze", ones, AXIS1), start[2])
    body = _step(graph, multiplicative, candidates)
    level, trend, seasonal, forecasts = graph.several(
        "Scan", 4, level, trend, seasonal, observed, num_scan_inputs=1, body=body
    )
    errors = graph.add("Sub", graph.add("Unsqueeze", observed, AXIS1), forecasts)
    squares = graph.add("ReduceSum", graph.add("Mul", errors, errors), AXIS0, keepdims=0)
    lost = graph.add("Or", graph.add("IsNaN", squares), graph.add("IsInf", squares))
    chosen = graph.add("ArgMin", graph.add("Where", lost, WORST, squares), axis=0, keepdims=0)
    values = dict(zip(("alpha", "beta", "gamma"), candidates, strict=True)) | {"level": level, "trend": trend}
    found = {name: graph.add("Gather", value, chosen) for name, value in values.items()}
    found["seasonal"] = graph.add("Gather", seasonal, chosen)
    found["fitted"] = graph.add("Gather", forecasts, chosen, axis=1)
    return found


def _step(outer: Graph, multiplicative: str, candidates: list[str]) -> Graph:
    """One month for all candidates at once; names of the outer graph are visible inside."""
    alpha, beta, gamma = candidates
    step = Graph(f"{outer.name}_month_{candidates[0].rsplit('/', 1)[-1]}")
    level = step.input(f"{step.name}/level", FP64, ("candidates",))
    trend = step.input(f"{step.name}/trend", FP64, ("candidates",))
    seasonal = step.input(f"{step.name}/seasonal", FP64, ("candidates", MONTHS))
    value = step.input(f"{step.name}/value", FP64)
    factor = step.add("Gather", seasonal, np.int64(0), axis=1)
    expected = step.add("Add", level, trend)

    def both(left: str, right: str, operators: tuple[str, str]) -> str:
        return step.add("Where", multiplicative, *(step.add(operator, left, right) for operator in operators))

    def smoothed(weight: str, new: str, old: str) -> str:
        rest = step.add("Mul", step.add("Sub", 1.0, weight), old)
        return step.add("Add", step.add("Mul", weight, new), rest)

    forecast = both(expected, factor, ("Mul", "Add"))
    next_level = smoothed(alpha, both(value, factor, ("Div", "Sub")), expected)
    next_trend = smoothed(beta, step.add("Sub", next_level, level), trend)
    next_factor = smoothed(gamma, both(value, next_level, ("Div", "Sub")), factor)
    later = _part(step, seasonal, 1, None, axis=1)
    turned = step.add("Concat", later, step.add("Unsqueeze", next_factor, AXIS1), axis=1)
    step.output(f"{step.name}/level_out", next_level, FP64, ("candidates",))
    step.output(f"{step.name}/trend_out", next_trend, FP64, ("candidates",))
    step.output(f"{step.name}/seasonal_out", turned, FP64, ("candidates", MONTHS))
    step.output(f"{step.name}/forecast_out", forecast, FP64, ("candidates",))
    return step


def _outputs(graph: Graph, context: _Context, fit: dict[str, str]) -> None:
    steps = graph.add("Range", np.int64(1), graph.add("Add", context.horizon, np.int64(1)), np.int64(1))
    place = graph.add("Mod", graph.add("Sub", steps, np.int64(1)), np.int64(MONTHS))
    factor = graph.add("Gather", fit["seasonal"], place)
    ahead = graph.add("Cast", steps, to=FP64)
    line = graph.add("Add", fit["level"], graph.add("Mul", fit["trend"], ahead))
    products, sums = graph.add("Mul", line, factor), graph.add("Add", line, factor)
    forecast = graph.add("Where", context.multiplicative, products, sums)
    errors = graph.add("Sub", context.observed, fit["fitted"])
    rmse = graph.add("Sqrt", graph.add("ReduceMean", graph.add("Mul", errors, errors), keepdims=0))
    margin = _margin(graph, context, fit, steps, ahead, factor, rmse)
    naive = graph.add("Sub", context.observed, _part(graph, context.series, 0, -MONTHS))
    naive_rmse = graph.add("Sqrt", graph.add("ReduceMean", graph.add("Mul", naive, naive), keepdims=0))
    worse = graph.add("And", context.ok, graph.add("Greater", rmse, naive_rmse))
    lowest, highest = (graph.add(edge, context.series, keepdims=0) for edge in ("ReduceMin", "ReduceMax"))
    constant = graph.add("And", context.ok, graph.add("Equal", lowest, highest))
    words = [(case, np.array(word, object)) for case, word in ((constant, "constant"), (worse, "worse_than_last_year"))]
    state = graph.choose(words, context.state)
    ones = graph.add("Add", graph.add("Mul", ahead, 0.0), 1.0)
    blank = graph.add("Where", context.ok, 0.0, np.float64("nan"))

    def told(value: str) -> str:
        return graph.add("Add", graph.add("Mul", ones, value), blank)

    _months(graph, context, steps)
    figures: dict[str, Any] = {
        "forecast": forecast,
        "lower_95": graph.add("Sub", forecast, margin),
        "upper_95": graph.add("Add", forecast, margin),
        "level": fit["level"],
        "trend": fit["trend"],
        "seasonal": factor,
        "one_step_rmse": rmse,
        "last_year_rmse": naive_rmse,
        "used_alpha": fit["alpha"],
        "used_beta": fit["beta"],
        "used_gamma": fit["gamma"],
    }
    for name, value in figures.items():
        graph.output(name, told(value), FP64, ("steps",))
    spread = graph.add("Expand", state, graph.add("Shape", steps))
    graph.output("state", spread, STRING, ("steps",))


def _months(graph: Graph, context: _Context, steps: str) -> None:
    """Year and month of each forecast, counted on from the last row."""
    last = np.int64(-1)
    years = graph.add("Mul", graph.add("Gather", context.year, last), np.int64(MONTHS))
    months = graph.add("Add", years, graph.add("Sub", graph.add("Gather", context.month, last), np.int64(1)))
    index = graph.add("Add", months, steps)
    graph.output("step", steps, INT64, ("steps",))
    graph.output("forecast_year", graph.add("Div", index, np.int64(MONTHS)), INT64, ("steps",))
    within = graph.add("Add", graph.add("Mod", index, np.int64(MONTHS)), np.int64(1))
    graph.output("forecast_month", within, INT64, ("steps",))


def _margin(
    graph: Graph, context: _Context, fit: dict[str, str], steps: str, ahead: str, factor: str, rmse: str
) -> str:
    """Half of a 95 % interval: the variance of Yar and Chatfield (1990), as R's predict.HoltWinters has it.

    psi_0 = 1, psi_j = alpha (1 + j beta) + [j mod 12 = 0] gamma (1 - alpha); with factors, each error is carried to
    month h in the ratio of the months' factors.
    """
    lag = graph.add("Sub", steps, np.int64(1))
    back = graph.add("Cast", lag, to=FP64)
    alpha, beta, gamma = fit["alpha"], fit["beta"], fit["gamma"]
    carried = graph.add("Mul", alpha, graph.add("Add", 1.0, graph.add("Mul", back, beta)))
    whole_year = graph.add("Cast", graph.add("Equal", graph.add("Mod", lag, np.int64(MONTHS)), np.int64(0)), to=FP64)
    season = graph.add("Mul", graph.add("Mul", gamma, graph.add("Sub", 1.0, alpha)), whole_year)
    first = graph.add("Equal", lag, np.int64(0))
    psi = graph.add("Where", first, 1.0, graph.add("Add", carried, season))
    ahead_by = graph.add("Sub", graph.add("Unsqueeze", steps, AXIS1), graph.add("Unsqueeze", steps, AXIS0))
    reached = graph.add("GreaterOrEqual", ahead_by, np.int64(0))  # row h, column j+1: j < h
    source = graph.add("Mod", ahead_by, np.int64(MONTHS))
    source_factor = graph.add("Gather", fit["seasonal"], source)
    ratio = graph.add("Div", graph.add("Unsqueeze", factor, AXIS1), source_factor)
    scale = graph.add("Where", context.multiplicative, ratio, 1.0)
    weight = graph.add("Mul", graph.add("Unsqueeze", psi, AXIS0), scale)
    squares = graph.add("Where", reached, graph.add("Mul", weight, weight), 0.0)
    variance = graph.add("ReduceSum", squares, AXIS1, keepdims=0)
    return graph.add("Mul", graph.add("Mul", graph.add("Sqrt", variance), rmse), NORMAL_95)
