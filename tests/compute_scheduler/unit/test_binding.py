"""Which devices attempts get: parts of one together, whole ones apart."""

from __future__ import annotations

from compute_scheduler.domain.binding import Binding, Held, settled
from compute_scheduler.domain.resources import resources

NODE = resources(8, 1000, {"A": 3, "B": 1})


def half(kind: str = "A") -> Held:
    """Half a device of a kind."""
    return Held(amount=0.5, devices=[0])


def test_parts_that_the_plan_puts_on_one_device_get_one_number() -> None:
    """The plan calls the first device that it shares 0, though whole ones are taken: both halves get device 1."""
    binding = Binding([("n", {"A": Held(amount=1, devices=[0])})])
    part = resources(1, 10, {"A": 0.5})
    assert [binding.bind("n", part, NODE, 0)["A"] for _ in range(2)] == [Held(amount=0.5, devices=[1])] * 2
    assert binding.bind("n", part, NODE, 1)["A"]["devices"] == [2]
    assert binding.bind("m", part, NODE, 0)["A"]["devices"] == [0]


def test_a_part_joins_the_device_that_others_hold_a_part_of() -> None:
    """By the number that the tables tell the plan; one without room left is left alone."""
    binding = Binding([("n", {"A": half()})])
    part = resources(1, 10, {"A": 0.5})
    assert [binding.bind("n", part, NODE, 0)["A"]["devices"] for _ in range(2)] == [[0], [1]]


def test_whole_devices_are_those_that_nobody_holds() -> None:
    """By number, of each kind; where all are held, as when work is handed out ahead, the first of the least taken."""
    binding = Binding([("n", {"A": half()})])
    asked = resources(1, 10, {"A": 2, "B": 1})
    assert binding.bind("n", asked, NODE) == {"A": Held(amount=2, devices=[1, 2]), "B": Held(amount=1, devices=[0])}
    assert binding.bind("n", resources(1, 10, {"A": 1}), NODE)["A"]["devices"] == [0]


def test_what_is_held_is_one_kind_of_those_asked_for() -> None:
    """Any of two kinds became B; of a part the device is known."""
    assert settled(resources(1, 10, {"A|B": 2}), {"B": Held(amount=2, devices=[0, 1])}) == (
        resources(1, 10, {"B": 2}),
        None,
    )
    assert settled(resources(1, 10, {"A|B": 0.25}), {"B": Held(amount=0.25, devices=[3])}) == (
        resources(1, 10, {"B": 0.25}),
        3,
    )
