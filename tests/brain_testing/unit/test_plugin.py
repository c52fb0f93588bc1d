"""The pytest plugin: nothing passes by being skipped in CI, and what was not run is said."""

import pytest

pytest_plugins = ["pytester"]

SKIPPING = """
import pytest
pytest_plugins = []
def test_passes(): pass
@pytest.mark.skipif(True, reason="no server")
def test_skipped_by_mark(): pass
def test_skips_itself(): pytest.skip("not today")
@pytest.mark.xfail(reason="known", strict=True)
def test_known_failure(): assert False
"""

REALDATA = """
import pytest
@pytest.mark.realdata
@pytest.mark.parametrize("n", [1, 2])
def test_reads_it(realdata, n): assert realdata.is_dir()
def test_other(): pass
"""


@pytest.fixture
def outer(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty project that uses the plugin, outside CI, without real data."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("BRAIN_REALDATA", str(pytester.path / "nowhere"))
    pytester.makeconftest('pytest_plugins = ["brain_testing.fixtures"]')
    pytester.makeini("[pytest]\nmarkers = realdata: real data")
    return pytester


def run(outer: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run the inner project in a process of its own."""
    return outer.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def test_skipped_test_fails_in_ci(outer: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """By mark or by itself; an expected failure stays one."""
    outer.makepyfile(SKIPPING)

    run(outer).assert_outcomes(passed=1, skipped=2, xfailed=1)
    monkeypatch.setenv("CI", "true")
    result = run(outer)
    # A failure in the setup phase is an error in pytest's count.
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 2
    assert (outcomes["passed"], outcomes["xfailed"]) == (1, 1)
    assert "skipped" not in outcomes
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*a skipped test proves nothing in CI*not today*"])


def test_skipped_module_fails_in_ci(outer: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """importorskip at the top of a module is no way around."""
    outer.makepyfile('import pytest\npytest.importorskip("no_such_module")\ndef test_x(): pass')

    assert run(outer).ret == pytest.ExitCode.NO_TESTS_COLLECTED
    monkeypatch.setenv("CI", "true")
    assert run(outer).ret == pytest.ExitCode.INTERRUPTED


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["one process", "xdist"])
def test_tests_without_real_data_are_counted_as_not_run(outer: pytest.Pytester, workers: list[str]) -> None:
    """Left out, with a line that says how many; also where other processes run the tests."""
    outer.makepyfile(REALDATA)

    result = run(outer, *workers)

    assert result.parseoutcomes()["passed"] == 1
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*NOT RUN: 2 tests need the real data*"])


def test_missing_real_data_fail_in_ci(outer: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """CI proves everything; where the data are, the same tests run."""
    outer.makepyfile(REALDATA)
    monkeypatch.setenv("CI", "true")

    without = run(outer)
    assert without.ret == pytest.ExitCode.TESTS_FAILED
    without.stdout.fnmatch_lines(["*set BRAIN_REALDATA*"])
    monkeypatch.setenv("BRAIN_REALDATA", str(outer.mkdir("data")))
    run(outer).assert_outcomes(passed=3)
