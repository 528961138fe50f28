import pytest

from benchmarks.comparison import Comparison, Target


def compare(ours, theirs, **more):
    return Comparison("a call", "µs", "ours", {"theirs": theirs, "ours": ours}, **more)


def figure(comparison):
    (only,) = comparison.figures("call")
    return only


def test_a_ratio_compares_medians_and_its_spread_compares_rounds():
    result = figure(compare([1.0, 2.0, 9.0], [2.0, 8.0, 4.0], targets={"theirs": Target(0.6)}))

    assert result.result == "0.50 × (0.38 – 1.38)"


@pytest.mark.parametrize(
    ("target", "met"),
    [(Target(0.5), True), (Target(0.49), False), (Target(0.5, at_least=True), True), (Target(2, at_least=True), False)],
)
def test_a_target_bounds_the_ratio(target, met):
    assert figure(compare([1.0], [2.0], targets={"theirs": target})).met is met


@pytest.mark.parametrize(("limit", "met"), [(3e-6, True), (1e-6, False)])
def test_an_absolute_target_bounds_the_value_of_the_subject(limit, met):
    result = figure(compare([2e-6], [9e-6], targets={"ours": Target(limit, absolute=True)}))

    assert (result.met, result.result) == (met, "2 µs (2 – 2)")


def test_a_subject_without_measurements_misses_its_target():
    assert not figure(compare([], [2.0], targets={"theirs": Target(0.6)}, notes={"ours": "it fails"})).met


def test_the_row_of_a_failed_contender_names_the_reason():
    comparison = Comparison("a call", "µs", "ours", {"ours": [1e-6]}, notes={"theirs": "too large"})

    assert "| theirs (too large) | — | — | — |  |  |" in str(comparison)


def test_every_contender_is_compared_with_the_subject():
    lines = str(compare([1e-6], [4e-6], cpu={"ours": [1.0], "theirs": [2.0]})).splitlines()

    assert lines[-2:] == [
        "| theirs | 4 µs (4 – 4) | 0.25 × (0.25 – 0.25) | 0.50 × (0.50 – 0.50) |  |  |",
        "| ours | 1 µs (1 – 1) |  |  |  |  |",
    ]
