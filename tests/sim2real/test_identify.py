import dataclasses
import functools
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from legged_skills import robots
from legged_skills.robots.errors import ClipError, SettingsError
from legged_skills.sim2real import identify as identification
from legged_skills.sim2real.commands import Identify
from legged_skills.sim2real.fit_problem import Problem, Unknowns
from legged_skills.sim2real.held_robot import DriveParameters
from legged_skills.sim2real.identified import PARAMETERS, Identified
from legged_skills.sim2real.identify import FitSettings, identify, simulated_positions, table_rows
from legged_skills.sim2real.identify_plots import plot
from legged_skills.sim2real.joint_log import JointLog, read_log
from legged_skills.sim2real.loads import USUAL_LOADS
from legged_skills.sim2real.simulated_log import random_drives, simulate_log

SPEC = robots.get("anymal_c")
QUICK = FitSettings(step_s=0.004, tolerance=0.02, most_steps=5)
TRUE = random_drives(SPEC, 5, (0.4, 1.5))
LEFT_OUT, STILL = SPEC.joint_names.index("LH_HAA"), SPEC.joint_names.index("RF_KFE")


def _columns(log: JointLog, names: tuple[str, ...], **changes: np.ndarray) -> JointLog:
    """The log with some of its columns only, in another order."""
    places = [log.joint_names.index(name) for name in names]
    fields = {
        "joint_names": names,
        "command": log.command[:, places],
        "position": log.position[:, places],
    }
    return dataclasses.replace(log, **{**fields, **changes})


@pytest.fixture(scope="module")
def log() -> JointLog:
    """A short one of a robot that moves all joints, with a tenth of its noise."""
    return simulate_log(SPEC, TRUE, seconds=10.0, seed=1, position_noise_rad=3e-4)


@pytest.fixture(scope="module")
def partial(log: JointLog) -> JointLog:
    """One leg's HAA was not recorded; another leg's knee seems to stand."""
    names = tuple(name for name in reversed(SPEC.joint_names) if name != "LH_HAA")
    chosen = _columns(log, names)
    command, position = chosen.command.copy(), chosen.position.copy()
    command[:, names.index("RF_KFE")] = position[:, names.index("RF_KFE")] = -0.8
    return dataclasses.replace(chosen, command=command, position=position)


@pytest.fixture(scope="module")
def found(log: JointLog) -> Identified:
    return identify(log, SPEC, QUICK)


def test_known_drives_are_found(found: Identified) -> None:
    for column, name in enumerate(PARAMETERS):
        true, error = TRUE.table()[:, column], getattr(found, f"{name}_error")
        got = getattr(found, name)
        np.testing.assert_allclose(got, true, rtol=0.05, err_msg=name)
        assert np.all(error < 0.05 * true)
    assert found.command_delay_s == pytest.approx(TRUE.command_delay_s, abs=2e-4)
    assert found.fitted.all() and not found.notes
    # The noise, and an error of friction at steps of 4 ms, which is gone at 2 ms.
    np.testing.assert_allclose(found.residual_rms_rad, 3e-4, rtol=0.3)
    assert found.seconds == pytest.approx(10.0, abs=0.01)


def test_what_a_recording_does_not_tell_stays_nominal(partial: JointLog) -> None:
    found = identify(partial, SPEC, QUICK)
    nominal = DriveParameters.nominal(SPEC).table()
    table = np.stack([getattr(found, name) for name in PARAMETERS], axis=1)
    for joint, why in ((LEFT_OUT, "is not in the recording"), (STILL, "moves too little")):
        assert not found.fitted[joint].any()
        np.testing.assert_array_equal(table[joint], nominal[joint])
        assert any(SPEC.joint_names[joint] in note and why in note for note in found.notes)
    assert found.fitted.sum() >= 4 * 10 - 2
    # The hind leg whose HAA stood still in the fit, and moved in the recording, is not compared.
    rest = [j for j in range(12) if j not in (3, 4, 5, 6, 7, 8)]
    np.testing.assert_allclose(table[rest, :2], TRUE.table()[rest, :2], rtol=0.05)


def test_the_gain_of_a_weightless_joint_is_not_made_up() -> None:
    op3 = robots.get("op3")
    nominal = DriveParameters.nominal(op3)
    true = DriveParameters.of_table(1.25 * nominal.table(), 0.012)
    # Level, the head turns about the vertical.
    log = simulate_log(op3, true, 10.0, base_wxyz=np.array([1.0, 0.0, 0.0, 0.0]), loads=())
    found = identify(_columns(log, ("head_tilt", "head_pan")), op3, QUICK)
    assert found.fitted[0].tolist() == [False, True, True, True]
    assert found.kp[0] == 21.1
    # All four are 1.25 times nominal, so relative to the gain they are nominal.
    np.testing.assert_allclose(found.damping[0], nominal.damping[0], rtol=0.03)
    np.testing.assert_allclose(found.armature[0], nominal.armature[0], rtol=0.03)
    assert found.command_delay_s == pytest.approx(0.012, abs=1e-3)
    assert "head_pan carries too little weight" in found.notes[0]


def test_known_loads_tell_the_gain_of_a_light_joint() -> None:
    op3 = robots.get("op3")
    nominal = DriveParameters.nominal(op3)
    true = DriveParameters.of_table(1.25 * nominal.table(), 0.012)
    log = _columns(simulate_log(op3, true, 10.0), ("head_tilt", "head_pan"))
    assert log.loads == USUAL_LOADS["op3"]
    found = identify(log, op3, QUICK)
    assert found.fitted[:2].all()
    np.testing.assert_allclose(found.kp[:2], 1.25 * 21.1, rtol=0.05)
    np.testing.assert_allclose(found.armature[:2], 1.25 * 0.045, rtol=0.05)
    # It is the loads that do it: a robot without them sags by less.
    _, measured, simulated = simulated_positions(dataclasses.replace(log, loads=()), op3, found)
    bare_rms = np.sqrt(np.mean((measured - simulated)[:, :2] ** 2, axis=0))
    assert np.all(bare_rms > 1.3 * found.residual_rms_rad[:2])


@pytest.mark.parametrize("loads", [True, False])
def test_the_command_says_which_loads_it_uses(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    found: Identified,
    loads: bool,
) -> None:
    monkeypatch.setattr("legged_skills.sim2real.identify.identify", lambda log, spec: found)
    monkeypatch.setattr("legged_skills.sim2real.commands._worst_errors", lambda true, found: {})
    path = tmp_path / "log.npz"
    assert Identify(log=path, robot="op3", simulate=10.0, loads=loads).run() == 0
    shown = capsys.readouterr().out
    assert shown.count("recorded with") == (5 if loads else 0)
    assert ("recorded with 0.1 kg on l_el_link at (-19, 120, 20) mm" in shown) == loads
    assert read_log(path).loads == (USUAL_LOADS["op3"] if loads else ())


def test_table_and_picture(log: JointLog, found: Identified) -> None:
    rows = table_rows(found)
    assert [row["joint"] for row in rows] == list(SPEC.joint_names)
    assert "±" in rows[0]["kp [Nm/rad]"]
    times_s, measured, simulated = simulated_positions(log, SPEC, found)
    assert times_s[0] >= 1.0
    rms = np.sqrt(np.mean((measured - simulated) ** 2, axis=0))
    np.testing.assert_allclose(rms, 3e-4, rtol=0.1)
    picture = Image.open(io.BytesIO(plot(log, SPEC, found)))
    assert picture.width == 990 and picture.height > 1000


def _block_residual() -> tuple[np.ndarray, np.ndarray]:
    """Times (64,) of four blocks of a quarter of a second, and residuals (64, 4) in them."""
    row, sign = np.arange(64), np.repeat([1.0, -1.0, -1.0, 1.0], 16)
    steady, pairs, quarter = 2.0 * sign, np.tile([3.0, -3.0], 32), 5.0 * (row % 16 < 4)
    return row / 64.0, np.stack([steady, pairs, quarter, np.zeros(64)], axis=1)


def test_rows_that_err_alike_count_as_one() -> None:
    # 16 rows are one; alternating ones say more than independent ones, which is not believed; four
    # rows in 16 that are 5 have sums of 20 and a variance of 25 / 4: 20^2 / 16 / (25 / 4).
    found = identification._correlation(*_block_residual())
    np.testing.assert_allclose(found, [16.0, 1.0, 4.0, 1.0])


def test_variances_grow_by_the_rows_that_count_as_one() -> None:
    times_s, residual = _block_residual()
    free = np.ones((4, 4), bool)
    free[1, 2] = False
    at = Unknowns(np.ones((4, 4)), 0.01, free)
    normal = np.diag(np.arange(1.0, 18.0))
    normal[0, 8] = normal[8, 0] = 0.5
    problem: Any = SimpleNamespace(compared_s=times_s)
    found = identification._covariance(problem, at, residual, normal)
    # By the pull to the nominal values, of 0.5, 1, 10 and 1, and of 0.05 s for the delay.
    prior = np.append(np.tile([4.0, 1.0, 0.01, 1.0], 4), 400.0)
    inverse = np.linalg.inv(np.array([[1.0 + 4.0, 0.5], [0.5, 9.0 + 4.0]]))
    wanted = 1.0 / (np.arange(1.0, 18.0) + prior) * np.append(np.repeat([16.0, 1, 4, 1], 4), 16.0)
    wanted[6] = 0.0  # not free
    wanted[[0, 8]] = np.diag(inverse) * [16.0, 4.0]
    np.testing.assert_allclose(np.diag(found), wanted)
    assert found[0, 8] == found[8, 0] == pytest.approx(inverse[0, 1] * 8.0)
    found[0, 8] = found[8, 0] = 0.0
    assert np.count_nonzero(found) == 16


def test_errors_of_values_are_those_of_scale_and_ratio_together() -> None:
    nominal = DriveParameters.nominal(SPEC).table()
    ratios = np.ones((12, 4))
    ratios[0] = 1.5, 0.8, 2.0, 0.5
    at = Unknowns(ratios, 0.012, np.ones((12, 4), bool))
    covariance = np.zeros((49, 49))
    covariance[0, 0], covariance[1, 1], covariance[48, 48] = 0.03**2, 0.05**2, 0.002**2
    covariance[0, 1] = covariance[1, 0] = -0.5 * 0.03 * 0.05
    every, settings = np.ones(12, bool), FitSettings()
    problem: Any = SimpleNamespace(
        nominal=nominal, spec=SPEC, recorded=every, moves=every, settings=settings
    )
    problem.table = functools.partial(Problem.table, problem)
    log: Any = SimpleNamespace(time_s=np.array([5.0, 7.0, 25.0]))
    found = identification._result(log, problem, at, covariance, np.tile([[3.0], [-4.0]], 12))
    kp, damping, friction, armature = nominal[0]
    assert found.kp[0] == pytest.approx(1.5 * kp)
    assert found.kp_error[0] == pytest.approx(0.03 * kp)
    # damping = nominal x scale x ratio: 0.8 x 0.03 and 1.5 x 0.05, which lean against each other.
    by_scale, by_ratio = 0.8 * 0.03, 1.5 * 0.05
    both = np.sqrt(by_scale**2 + by_ratio**2 - by_scale * by_ratio)
    assert found.damping[0] == pytest.approx(1.5 * 0.8 * damping)
    assert found.damping_error[0] == pytest.approx(both * damping)
    assert found.friction_error[0] == pytest.approx(2.0 * 0.03 * friction)
    assert found.armature_error[0] == pytest.approx(0.5 * 0.03 * armature)
    assert found.command_delay_error_s == pytest.approx(0.002)
    assert found.seconds == 20.0
    np.testing.assert_allclose(found.residual_rms_rad, np.sqrt(12.5))


def test_what_cannot_be_is_said() -> None:
    """A joint that moves, but not as asked, and values that are as far as they may be."""
    every, free = np.ones(12, bool), np.ones((12, 4), bool)
    free[0] = free[1] = False
    moves = np.arange(12) != 1
    ratios = np.ones((12, 4))
    ratios[2, 0], ratios[3, 2] = 10.0, 0.0
    problem: Any = SimpleNamespace(
        spec=SPEC, recorded=every, moves=moves, settings=FitSettings(most_delay_s=0.1)
    )
    at = Unknowns(ratios, 0.1, free)
    residual = np.full((5, 12), 0.59)
    lost, still = identification._notes(problem, at, residual)
    assert lost.startswith(f"{SPEC.joint_names[0]} moves, but not as its commands ask (0.59 rad")
    assert still == f"{SPEC.joint_names[1]} moves too little: all nominal."
    late, stiff = identification._ends(problem, at)
    assert late.startswith("the delay is as long as it may be, 100 ms")
    assert stiff.startswith(f"{SPEC.joint_names[2]} has its kp at an end of what may be")
    (early,) = identification._ends(problem, Unknowns(np.ones((12, 4)), 0.0, free))
    assert early.startswith("the delay is 0 ms, as short as it may be")
    assert not identification._ends(problem, Unknowns(np.ones((12, 4)), 0.001, free))


def test_wrong_input_is_refused(log: JointLog) -> None:
    still = np.tile(SPEC.default_joint_pos, (len(log.time_s), 1))
    with pytest.raises(ClipError, match="no joint moves"):
        identify(dataclasses.replace(log, command=still, position=still), SPEC, QUICK)
    with pytest.raises(ClipError, match="robot is 'anymal_c', expected 'op3'"):
        identify(log, robots.get("op3"))
    with pytest.raises(SettingsError, match="step_s is 1"):
        FitSettings(step_s=1.0)


def test_a_simulated_log_has_noise_and_counts(log: JointLog) -> None:
    def record(noise_rad: float, counts: int) -> JointLog:
        return simulate_log(SPEC, TRUE, 10.0, 1, noise_rad, counts, base_wxyz=log.base_wxyz)

    noisy, clean = record(0.001, 4096), record(0.0, 0)
    counts = noisy.position * 4096 / (2.0 * np.pi)
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-6)
    # Noise of 1 mrad, and of a twelfth of a squared count.
    spread = np.sqrt(0.001**2 + (2.0 * np.pi / 4096) ** 2 / 12.0)
    assert np.std(noisy.position - clean.position) == pytest.approx(spread, rel=0.02)
    assert np.std(log.position - clean.position) == pytest.approx(3e-4, rel=0.02)
    assert np.diff(clean.time_s).mean() == pytest.approx(0.0025, rel=1e-3)
    assert 1e-4 < np.diff(clean.time_s).std() < 1e-3
