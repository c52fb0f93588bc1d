"""The ONNX model of the component `oee`: key figures of ISO 22400-2 for each row.

availability = APT / PBT, effectiveness = PRI x PQ / APT, quality ratio = GQ / PQ, OEE = their product; APT actual
production time, PBT planned busy time, PRI planned run time per item, PQ produced and GQ good quantity.
A figure whose denominator is zero, and every figure of a row that contradicts itself, is NaN, and `state` says why.
"""

from __future__ import annotations

import numpy as np

from algorithm_dev.shipped.onnx_graph import FP64, STRING, Graph

SECONDS_PER_MINUTE = 60.0
ROWS = ("rows",)


def oee_model() -> bytes:
    """The model's bytes; the same on every machine."""
    graph = Graph("oee")
    planned, actual, per_item, produced, good = (
        graph.input(name, FP64, ROWS)
        for name in (
            "planned_busy_time_min",
            "actual_production_time_min",
            "planned_runtime_per_item_s",
            "produced_quantity",
            "good_quantity",
        )
    )
    zero = graph.constant(np.zeros(()))
    contradictions = [
        (graph.add("Greater", actual, planned), "production_exceeds_plan"),
        (graph.add("Greater", good, produced), "good_exceeds_produced"),
    ]
    needed = graph.add("Mul", per_item, produced)
    available_s = graph.add("Mul", actual, SECONDS_PER_MINUTE)
    no_planned, no_actual, no_produced = (graph.add("Equal", item, zero) for item in (planned, actual, produced))
    wrong = graph.add("Or", contradictions[0][0], contradictions[1][0])
    not_a_number = graph.constant(np.float64("nan"))

    def ratio(numerator: str, denominator: str, empty: str) -> str:
        undefined = graph.add("Or", empty, wrong)
        safe = graph.add("Where", undefined, np.float64(1), denominator)
        return graph.add("Where", undefined, not_a_number, graph.add("Div", numerator, safe))

    availability = ratio(actual, planned, no_planned)
    effectiveness = ratio(needed, available_s, no_actual)
    quality = ratio(good, produced, no_produced)
    oee = graph.add("Mul", graph.add("Mul", availability, effectiveness), quality)
    fast = graph.add("Greater", effectiveness, np.float64(1))
    states = [
        *contradictions,
        (no_planned, "no_planned_time"),
        (no_actual, "no_production_time"),
        (no_produced, "nothing_produced"),
        (fast, "faster_than_planned"),
    ]
    state = graph.choose([(case, np.array(word, object)) for case, word in states], np.array("ok", object))
    figures = {"availability": availability, "effectiveness": effectiveness, "quality_ratio": quality, "oee": oee}
    for name, value in figures.items():
        graph.output(name, value, FP64, ROWS)
    graph.output("state", state, STRING, ROWS)
    return graph.model()
