from pathlib import Path

import numpy as np
import pytest

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.twin.faults import KINDS, UNKNOWN_JOINT, Faults, fault_table, parse
from legged_skills.sim2real.twin.messages import ImuMessage, JointMessage

NAMES = ("a", "b", "c")
CYCLE_S = 0.01


def _joints(value: float) -> JointMessage:
    three = np.full(3, value)
    return JointMessage(names=NAMES, position=three, velocity=three, effort=three)


def _imu(value: float) -> ImuMessage:
    return ImuMessage(
        orientation_wxyz=np.array([1.0, 0, 0, 0]),
        angular_velocity=np.full(3, value),
        acceleration=np.full(3, value),
    )


class _Stream:
    """Sends 0, 1, 2 ... and keeps what arrives in each cycle."""

    def __init__(self) -> None:
        self.faults = Faults(CYCLE_S, NAMES)
        self.cycles = 0

    def run(self, count: int) -> list[list[float]]:
        """The joint positions that arrive in each of some cycles."""
        return [[float(m.position[0]) for m in self.messages()] for _ in range(count)]

    def messages(self) -> list[JointMessage]:
        self.faults.advance(self.cycles * CYCLE_S)
        arrived = self.faults.joints(_joints(float(self.cycles)))
        self.cycles += 1
        return arrived


def test_without_faults_messages_arrive_at_once():
    assert _Stream().run(3) == [[0.0], [1.0], [2.0]]


def test_a_delay_is_in_cycles_and_loses_nothing():
    stream = _Stream()
    stream.faults.inject("delay joints ms=30 for=0.05")
    # Messages 0 to 4 are three cycles late; what is sent after them does not overtake.
    assert stream.run(9) == [[], [], [], [0.0], [1.0], [2.0], [3.0], [4.0, 5.0, 6.0, 7.0], [8.0]]


def test_delays_are_rounded_and_add_up():
    stream = _Stream()
    stream.faults.inject("delay sensors ms=14")
    stream.faults.inject("delay joints ms=10")
    assert stream.run(4) == [[], [], [0.0], [1.0]]


def test_drop_is_silence_by_default_and_leaves_the_imu_alone():
    stream = _Stream()
    stream.faults.inject("drop joints for=0.03")
    arrived = []
    for k in range(4):
        arrived.append(stream.run(1)[0])
        assert len(stream.faults.imu(_imu(float(k)))) == 1
    assert arrived == [[], [], [], [3.0]]
    assert stream.faults.lost == 3


def test_drop_takes_its_share():
    stream = _Stream()
    stream.faults.inject("drop joints p=0.2")
    left = sum(map(len, stream.run(2000)))
    # 1600 +- 18.
    assert 1520 < left < 1680
    assert stream.faults.lost == 2000 - left


def test_freeze_goes_on_with_the_first_message():
    stream = _Stream()
    stream.run(2)
    stream.faults.inject("freeze for=0.03")
    assert stream.run(4) == [[2.0], [2.0], [2.0], [5.0]]
    stream.faults.inject("freeze joints")
    assert stream.run(2) == [[6.0], [6.0]]


def test_freezing_the_joints_anew_does_not_bring_back_old_ones():
    stream = _Stream()
    stream.faults.inject("freeze imu")
    stream.faults.inject("freeze joints for=0.01")
    assert stream.run(2) == [[0.0], [1.0]]
    stream.faults.inject("freeze joints")
    assert stream.run(2) == [[2.0], [2.0]]


def test_nan_of_a_joint_and_of_the_imu():
    stream = _Stream()
    stream.faults.inject("nan joints joint=b")
    original = _joints(1.0)
    (message,) = stream.faults.joints(original)
    np.testing.assert_array_equal(message.position, [1.0, np.nan, 1.0])
    assert np.isfinite(original.position).all()
    stream.faults.inject("nan imu")
    (imu,) = stream.faults.imu(_imu(2.0))
    np.testing.assert_array_equal(imu.angular_velocity, [np.nan, 2.0, 2.0])
    stream.faults.inject("clear nan")
    (message,) = stream.faults.joints(_joints(1.0))
    assert np.isfinite(message.position).all()


def test_wrong_length_and_unknown_joint():
    stream = _Stream()
    stream.faults.inject("wrong_length n=2")
    stream.faults.inject("unknown_joint")
    (message,) = stream.messages()
    assert (len(message.position), message.names) == (1, ("a", "b", UNKNOWN_JOINT))
    stream.faults.inject("clear")
    stream.faults.inject("unknown_joint joint=a")
    (message,) = stream.messages()
    assert (len(message.position), message.names) == (3, (UNKNOWN_JOINT, "b", "c"))


def test_commands_are_lost_and_delayed_only_if_that_is_asked_for():
    faults = Faults(CYCLE_S, NAMES)
    faults.inject("drop")
    faults.command(_joints(1.0))
    assert [m.position[0] for m in faults.commands()] == [1.0]
    faults.inject("delay commands ms=20")
    faults.command(_joints(2.0))
    assert faults.commands() == []
    faults.advance(0.02)
    assert [m.position[0] for m in faults.commands()] == [2.0]
    faults.inject("drop commands")
    faults.command(_joints(3.0))
    faults.advance(1.0)
    assert faults.commands() == []


def test_faults_end_in_time():
    faults = Faults(CYCLE_S, NAMES)
    faults.inject("battery v=10 for=0.05")
    faults.inject("push n=20")
    assert not faults.advance(0.04)
    assert [str(fault) for fault in faults.active] == ["battery v=10", "push n=20 deg=90"]
    assert faults.advance(0.05)
    assert [fault.name for fault in faults.active] == ["push"]
    # A push is one of 0.1 s unless it is told otherwise.
    assert faults.advance(0.1)
    assert faults.active == []


def test_what_happens_once_is_not_kept():
    faults = Faults(CYCLE_S, NAMES)
    fault = faults.inject("tilt deg=80")
    assert fault is not None
    assert fault.number("deg") == 80.0
    assert faults.active == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no fault ''"),
        ("explode", "there is no fault 'explode', expected one of drop, delay"),
        ("drop joints p=2", "p is 2.0, expected 0 to 1"),
        ("drop wheels", "streams are 'wheels', expected one of: joints, imu, commands"),
        ("push joints", "expected one of: none"),
        ("delay ms=soon", "ms is 'soon', expected a number"),
        ("delay ms=-5", "ms is -5.0, expected at least 0"),
        ("delay s=5", "delay has no 's', expected ms, for"),
        ("freeze for=0", "for is 0, expected more than 0"),
        ("nan joint=tail", "there is no joint 'tail'"),
        ("clear everything", "expected a fault's name or none"),
        ("battery v=nan", "v is 'nan', expected a number"),
        ("wrong_length n=0.4", "n is 0.4, expected a whole number of at least 1"),
        ("wrong_length n=0", "n is 0, expected a whole number of at least 1"),
        ("wrong_length n=1.5", "n is 1.5, expected a whole number of at least 1"),
    ],
)
def test_what_is_not_in_the_grammar_is_refused(text: str, message: str):
    faults = Faults(CYCLE_S, NAMES)
    with pytest.raises(SettingsError, match=message.replace("'", ".").replace("(", ".")):
        faults.inject(text)
    assert faults.active == []


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_can_be_told_by_its_name_alone(name: str):
    fault = parse(name, 1.0, NAMES)
    assert fault.name == name
    assert "commands" not in fault.streams
    # Its text is a line of the grammar again.
    assert parse(str(fault).removesuffix(" joint="), 1.0, NAMES) == fault


def test_the_documentation_has_all_faults(repo_root: Path):
    assert fault_table() in (repo_root / "docs" / "twin.md").read_text(encoding="utf-8")
