import mujoco
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import FileFormatError, LeggedSkillsError, SettingsError
from legged_skills.sim2real.held_robot import (
    UPRIGHT_WXYZ,
    DriveParameters,
    HeldRobot,
    dofs_of,
    held_spec,
)
from legged_skills.sim2real.loads import USUAL_LOADS, Load, check_links, from_arrays, to_arrays

SPEC = robots.get("op3")
PAN, TILT = SPEC.joint_names.index("head_pan"), SPEC.joint_names.index("head_tilt")
HEAD = Load(link="head_tilt_link", mass_kg=0.2, centre_m=(0.05, -0.019, 0.04), radius_m=0.02)
HAND = Load(link="r_el_link", mass_kg=0.1, centre_m=(0.0, -0.1, 0.0))


def test_loads_come_back_from_arrays() -> None:
    arrays = to_arrays((HEAD, HAND))
    assert from_arrays(arrays) == (HEAD, HAND)
    assert from_arrays({"time_s": np.zeros(3)}) == () and to_arrays(()) == {}
    del arrays["load_radii_m"]
    assert [load.radius_m for load in from_arrays(arrays)] == [0.0, 0.0]


def test_a_load_adds_weight_and_inertia_at_its_place() -> None:
    def bias_and_inertia(*loads: Load) -> tuple[np.ndarray, np.ndarray]:
        model = held_spec(SPEC, UPRIGHT_WXYZ, 0.002, loads).compile()
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        dense = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, data, dense)
        dofs = dofs_of(model, SPEC)
        return data.qfrc_bias[dofs], np.diag(dense)[dofs]

    (bias, inertia), (bare_bias, bare_inertia) = bias_and_inertia(HEAD), bias_and_inertia()
    ball = 0.4 * 0.2 * 0.02**2
    expected = np.zeros(20)
    # The tilt axis is 0.01 m in front of the pan's; the load is in the middle, y = 0.
    expected[PAN] = ball + 0.2 * (0.05 + 0.01) ** 2
    expected[TILT] = ball + 0.2 * (0.05**2 + 0.04**2)
    np.testing.assert_allclose(inertia - bare_inertia, expected, atol=1e-12)
    # Tilt turns up for positive angles, and has to hold the weight.
    expected = np.zeros(20)
    expected[TILT] = 0.2 * 9.81 * 0.05
    np.testing.assert_allclose(bias - bare_bias, expected, atol=1e-12)


def test_the_held_robot_carries_its_loads() -> None:
    table = DriveParameters.nominal(SPEC).table()
    table[:, 2] = 0.0
    courses = np.tile(SPEC.default_joint_pos, (1, 500, 1))
    sag = []
    for loads in ((), (HEAD,)):
        robot = HeldRobot(SPEC, 1, 0.002, loads=loads)
        robot.set_drives(table[None])
        q = robot.simulate(SPEC.default_joint_pos, courses, np.zeros(1, int), np.array([1.0]))
        sag.append(q[0, 0] - SPEC.default_joint_pos)
    # kp 21.1, and an arm that hardly changes by the turn of 5 mrad.
    assert sag[1][TILT] - sag[0][TILT] == pytest.approx(-0.2 * 9.81 * 0.05 / 21.1, rel=0.01)
    np.testing.assert_allclose(np.delete(sag[1], TILT), np.delete(sag[0], TILT), atol=1e-9)


def test_usual_loads_are_on_links_and_the_same_on_both_sides() -> None:
    for name, loads in USUAL_LOADS.items():
        check_links(loads, robots.get(name))
    places = {load.link: load for load in USUAL_LOADS["op3"]}
    for link in ("el_link", "ank_roll_link"):
        left, right = places[f"l_{link}"], places[f"r_{link}"]
        assert left.mass_kg == right.mass_kg
        np.testing.assert_array_equal(left.centre_m, right.centre_m * np.array([1, -1, 1]))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("mass_kg", 0.0, "load on 'r_el_link': mass_kg is 0.0, expected above 0 to 20 kg."),
        ("mass_kg", float("nan"), "mass_kg is nan"),
        ("centre_m", (0.0, 120.0, 0.0), "centre_m is (0.0, 120.0, 0.0), expected x, y and z"),
        ("centre_m", (0.0, 0.1), "centre_m is (0.0, 0.1)"),
        ("radius_m", -0.1, "radius_m is -0.1, expected 0 to 1 m"),
    ],
)
def test_impossible_loads_are_refused(field: str, value: object, message: str) -> None:
    fields: dict = {"link": "r_el_link", "mass_kg": 0.1, "centre_m": (0.0, 0.1, 0.0)}
    with pytest.raises(SettingsError) as error:
        Load(**{**fields, field: value})
    assert message in str(error.value)


def test_links_that_the_robot_lacks_are_refused() -> None:
    wrong = Load(link="tail", mass_kg=1.0, centre_m=(0.0, 0.0, 0.0))
    with pytest.raises(SettingsError, match="'tail': op3 has no such link, expected one of body_l"):
        HeldRobot(SPEC, 1, 0.002, loads=(wrong,))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("load_links", np.array("head_tilt_link"), "load_links is an array of <U14 and shape ()"),
        ("load_links", np.array([1, 2]), "expected text of shape (2,)"),
        ("load_masses_kg", np.ones(3), "expected numbers of shape (2,)"),
        ("load_masses_kg", np.array([True, True]), "load_masses_kg is an array of bool"),
        ("load_masses_kg", np.array([0.1, -1.0]), "'r_el_link': mass_kg is -1.0"),
        ("load_centres_m", np.ones((2, 2)), "expected numbers of shape (2, 3)"),
        ("load_centres_m", None, "there is load_links without load_centres_m"),
        ("load_links", None, "there is load_masses_kg without load_links"),
    ],
)
def test_wrong_arrays_are_refused(field: str, value: np.ndarray | None, message: str) -> None:
    arrays = to_arrays((HEAD, HAND))
    if value is None:
        del arrays[field]
    else:
        arrays[field] = value
    with pytest.raises(LeggedSkillsError) as error:
        from_arrays(arrays)
    assert message in str(error.value)
    assert isinstance(error.value, FileFormatError | SettingsError)
