import pytest

from legged_skills.sim2real.twin.pace import Pace


def test_a_loop_that_keeps_its_deadlines():
    pace = Pace(0.01, 100.0)
    for k in range(1, 101):
        assert pace.deadline_s == pytest.approx(100.0 + 0.01 * k)
        pace.begin(pace.deadline_s + 0.001)
        pace.end(pace.deadline_s + 0.003)
    figures = pace.figures(101.0)
    assert figures["real_time_factor"] == pytest.approx(1.0)
    assert (figures["overruns"], figures["given_up_s"]) == (0.0, 0.0)
    assert figures["late_p99_ms"] == pytest.approx(1.0)
    assert figures["busy_p50_ms"] == pytest.approx(2.0)


def test_deadlines_do_not_drift_when_a_cycle_is_late():
    pace = Pace(0.01, 0.0)
    pace.begin(0.014)
    # It ends after the next one should have begun.
    pace.end(0.021)
    assert pace.overruns == 1
    assert pace.deadline_s == pytest.approx(0.02)
    pace.begin(0.021)
    pace.end(0.022)
    assert pace.deadline_s == pytest.approx(0.03)
    assert pace.overruns == 1
    assert pace.figures(0.03)["late_max_ms"] == pytest.approx(4.0)


def test_time_far_behind_is_given_up():
    pace = Pace(0.01, 0.0)
    pace.begin(2.01)
    pace.end(2.012)
    assert pace.given_up_s == pytest.approx(2.0)
    assert pace.deadline_s == pytest.approx(2.02)
    assert pace.figures(2.02)["real_time_factor"] == pytest.approx(0.01 / 2.02)


def test_no_cycle_yet():
    assert "late_p50_ms" not in Pace(0.01, 0.0).figures(0.0)
