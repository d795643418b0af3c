"""The command ``deploy``: what is refused before anything starts, and one run from end to end."""

import dataclasses
import json
import os
import pty
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.deploy.bag import bag_possible
from legged_skills.tasks.deploy_commands import Deploy

pytest.importorskip("rclpy")

PATIENCE_S = 300.0
# A machine that runs tests is busy with other things: what is late there must not end the run.
PATIENT = {
    "joint_timeout_s": 1.0,
    "imu_timeout_s": 1.0,
    "max_late_s": 1.0,
    "max_overruns": 1000,
    "frozen_s": 5.0,
    "joint_speed_radps": 200.0,
    "max_limited_steps": 1000,
    "ramp_min_s": 0.5,
}


@pytest.fixture
def params(tmp_path: Path) -> Path:
    path = tmp_path / "patient.yaml"
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": PATIENT}}))
    return path


def _deploy(*arguments: object) -> Any:
    command = [sys.executable, "-m", "legged_skills", "deploy", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )


def _left_over(out: Path) -> list[str]:
    """Processes that still run on behalf of a run's folder, but for this one's children."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(out) in words and "deploy" not in words.split():
            found.append(words)
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seconds": 0.0}, "duration is 0 s, expected more than 0"),
        ({"command": (9.0, 0.0, 0.0)}, "vx is 9 m/s, expected"),
        ({"command": (0.1, 0.0)}, "the command has 2 numbers, expected 3"),
        ({"attended": True}, "standard input is no terminal"),
    ],
)
def test_runs_that_make_no_sense(bundle_files, tmp_path, change, message):
    from legged_skills.sim2real.ros.deploy import DeployRun

    path = Path(bundle_files["anymal_c"])
    run = DeployRun(
        bundle=Bundle.load(path), bundle_file=path, out=tmp_path, command=(0.1, 0.0, 0.0)
    )
    with pytest.raises(SettingsError, match=message):
        dataclasses.replace(run, **change)


def test_errors_of_averaged_velocities():
    from legged_skills.sim2real.ros.observer import errors

    time_s = np.arange(0.0, 5.0, 0.02)
    # A gait's swaying averages out; the second window is 0.3 m/s and 0.1 rad/s off.
    velocity = np.stack(
        [0.5 + 0.2 * np.sin(np.pi * time_s), 0.0 * time_s, np.where(time_s < 2.0, 0.0, 0.1)], 1
    )
    velocity[(time_s >= 2.0) & (time_s < 4.0), 1] = 0.3
    linear, turning = errors(time_s, velocity, np.array([0.5, 0.0, 0.0]))
    assert linear == pytest.approx(0.15, abs=2e-3)
    assert turning == pytest.approx(0.05, abs=1e-6)
    # Of less than a window all is averaged: the first half of a whole wave, and a single time.
    linear, _ = errors(time_s[:50], velocity[:50], np.array([0.5, 0.0, 0.0]))
    expected = velocity[:49, 0].mean() - 0.5
    assert linear == pytest.approx(expected, rel=0.05) and linear > 0.1
    assert np.isnan(errors(time_s[:1], velocity[:1], np.zeros(3))).all()
    assert np.isnan(errors(time_s[:0], velocity[:0], np.zeros(3))).all()


@pytest.mark.parametrize(
    ("twin", "task", "command"),
    [
        # 0.4 of 0.75 m/s.
        (True, "walk", (0.3, 0.0, 0.0)),
        (False, "walk", (0.0, 0.0, 0.0)),
        (True, "dribble", None),
        (False, "dribble", None),
    ],
)
def test_a_real_robot_walks_only_if_it_is_told_to(bundle_files, twin, task, command):
    bundle = Bundle.load(Path(bundle_files["anymal_c"]))
    assert bundle.header.command[0].high == 0.75
    assert Deploy(twin=twin, task=task)._command(bundle) == pytest.approx(command)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cmd_vel_stamped": False}, "cmd_vel_stamped is False, expected True, as deploy needs"),
        ({"cmd_vel_topic": "/nav/cmd_vel"}, "cmd_vel_topic is /nav/cmd_vel, expected /cmd_vel"),
        ({"cmd_vel_topic": "/cmd_vel", "tilt_limit_deg": 40.0}, None),
        ({}, None),
    ],
)
def test_a_bridge_that_would_not_hear_its_commands_is_refused(tmp_path, parameters, message):
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump({"policy_bridge": {"ros__parameters": parameters}}))
    assert Deploy(task="dribble")._parameters(path) == path.resolve()
    if message is None:
        assert Deploy()._parameters(path) == path.resolve()
    else:
        with pytest.raises(SettingsError, match=f"site.yaml: {message}"):
            Deploy()._parameters(path)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"dry_run": False}, "dry_run is for deploy to say"),
        ({"log": "x"}, "log is for deploy to say"),
        ({"bundle": "walk.onnx"}, "bundle is for deploy to say"),
        ({"robot": "op3"}, "robot is op3, expected anymal_c"),
        ({"robot": "anymal_c"}, None),
    ],
)
@pytest.mark.parametrize("task", ["walk", "dribble"])
def test_no_file_undoes_what_deploy_is_told(tmp_path, task, parameters, message):
    path = tmp_path / "site.yaml"
    # Whatever is said for all nodes, and however deep a namespace is.
    nodes = {"/**": {"ros__parameters": {}}, "site": {"policy_bridge": {}}}
    nodes["site"]["policy_bridge"] = {"ros__parameters": parameters}
    path.write_text(yaml.safe_dump(nodes))
    if message is None:
        assert Deploy(task=task)._parameters(path) == path.resolve()
    else:
        with pytest.raises(SettingsError, match=f"site.yaml: {message}"):
            Deploy(task=task)._parameters(path)


def test_who_gets_up_has_no_other_limit_of_tilt(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text("policy_bridge: {ros__parameters: {tilt_limit_deg: 55.0}}")
    assert Deploy()._parameters(path) == path.resolve()
    with pytest.raises(SettingsError, match=r"tilt_limit_deg is 55\.0, expected 180"):
        Deploy(recover=True)._parameters(path)


@pytest.mark.parametrize("text", ["{", "[1]", "bridge: 3", "bridge: {ros__parameters: [1]}"])
def test_parameters_of_another_shape_are_left_to_the_bridge(tmp_path, text):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    assert Deploy()._parameters(path) == path.resolve()


def test_what_is_confirmed_says_what_is_commanded():
    from legged_skills.sim2real.ros.deploy import handover

    assert handover((0.2, 0.0, 0.1)) == (
        "the policy takes over, commanded 0.2 m/s forward, 0 m/s left, 0.1 rad/s"
    )
    assert handover(None) == "the policy takes over, and follows ball and target"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--twin", "--script", "1 2"], "script is '1 2', expected three numbers"),
        (["--twin", "--bundle", "nowhere.onnx"], "nowhere.onnx"),
        (["--twin", "--gap", "half"], "gap is 'half'"),
        (["--domain", "300"], "domain is 300"),
        (["--twin", "--duration", "-1"], "duration is -1 s, expected more than 0"),
        (["--twin", "--params", "nowhere.yaml"], "nowhere.yaml: there is no such parameter file"),
    ],
)
def test_what_cannot_be_deployed_ends_with_a_sentence(bundle_files, tmp_path, arguments, message):
    given = arguments if "--bundle" in arguments else [*arguments, "--bundle", bundle_files["op3"]]
    process = _deploy("--robot", "op3", "--out", tmp_path / "out", *given)
    said, complaint = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, said + complaint
    assert message in complaint and complaint.startswith("legged-skills: ")
    assert complaint.count("\n") == 1 and "Traceback" not in complaint
    assert _left_over(tmp_path / "out") == []
    # Nor is there anything that would be in the way of the next try.
    assert not (tmp_path / "out").exists()


def test_anymal_from_the_first_process_to_the_last(tmp_path, params):
    out, figures = tmp_path / "out", tmp_path / "figures.json"
    arguments = ["--twin", "--gap", "none", "--duration", 5, "--script", "0.3 0 0"]
    arguments += ["--out", out, "--params", params, "--json", figures]
    process = _deploy(*arguments)
    said, complaint = process.communicate(timeout=PATIENCE_S)
    assert process.returncode in (0, 1), said + complaint
    found = json.loads(figures.read_text())
    states = [entry["state"] for entry in found["state_history"]]
    assert states[:4] == ["idle", "ramp", "ready", "policy"], found
    times = [entry["time_s"] for entry in found["state_history"]]
    assert times == sorted(times)
    assert found["steps"] > 200 and found["period_error_p99_ms"] > 0.0
    assert found["sensor_to_command_p99_ms"] > 0.0 and found["missed_deadlines"] >= 0
    assert (out / "bag" / "metadata.yaml").is_file() == bag_possible()
    # How it walks depends on how much of the machine is left for it: with hardly a step missed,
    # a robot without the gap does not fall.
    if found["twin_real_time_factor"] > 0.98 and found["missed_deadlines"] <= 5:
        assert process.returncode == 0, found
    if process.returncode == 0:
        assert states[4:] == ["stopping", "idle"]
        assert found["falls"] == 0 and found["seconds"] == pytest.approx(5.0, abs=0.2)
        if found["twin_real_time_factor"] > 0.98:
            assert found["velocity_error_mps"] < 0.2
    assert _left_over(out) == []
    again = [
        sys.executable,
        "-m",
        "legged_skills",
        "replay",
        str(out),
        "--plot",
        str(out / "x.png"),
    ]
    done = subprocess.run(again, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no difference" in done.stdout and "training's path: " in done.stdout
    assert (out / "x.png").read_bytes()[:4] == b"\x89PNG"


def _deploy_until_ramp(bundle, params, out):
    """A deployment with a twin, which has begun to move."""
    arguments = ["--twin", "--gap", "none", "--duration", 60, "--params", params, "--out", out]
    process = _deploy(*arguments, "--bundle", bundle)
    end = time.monotonic() + PATIENCE_S
    while not (out / "bridge.txt").exists() or "ramp" not in _states(out):
        ended = process.poll() is not None
        assert not ended and time.monotonic() < end, process.communicate() if ended else "late"
        time.sleep(0.1)
    return process


def test_ctrl_c_stops_softly(bundle_files, tmp_path, params):
    out = tmp_path / "out"
    process = _deploy_until_ramp(bundle_files["anymal_c"], params, out)
    os.kill(process.pid, signal.SIGINT)
    said, complaint = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, said + complaint
    assert "Traceback" not in complaint
    assert _left_over(out) == []


def test_all_ends_with_a_deployment_that_is_killed(bundle_files, tmp_path, params):
    out, end = tmp_path / "out", time.monotonic() + PATIENCE_S
    process = _deploy_until_ramp(bundle_files["anymal_c"], params, out)
    assert len(_left_over(out)) == 2
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    while _left_over(out):
        assert time.monotonic() < end
        time.sleep(0.1)
    # In order: the robot was stopped, and the twin wrote its figures.
    assert "stop is accepted" in (out / "bridge.txt").read_text()
    assert json.loads((out / "twin.json").read_text())["cycles"] > 10


def _states(out: Path) -> str:
    """What the bridge has accepted so far."""
    text = (out / "bridge.txt").read_text()
    return "ramp" if "prepare is accepted" in text else ""


@pytest.mark.parametrize(("typed", "goes_on"), [(b"\n", True), (b"\x04", False)])
def test_only_an_enter_after_the_question_moves_a_robot(monkeypatch, typed, goes_on):
    from legged_skills.sim2real.ros import deploy

    controller, terminal = pty.openpty()
    # Twice, impatiently, before anything was asked.
    os.write(controller, b"\n\n")
    said, spins = [], []

    def spin() -> None:
        spins.append(len(said))
        if len(spins) == 3:
            os.write(controller, typed)

    with os.fdopen(terminal, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        waiting: Any = types.SimpleNamespace(
            run=types.SimpleNamespace(attended=True),
            say=said.append,
            operator=types.SimpleNamespace(spin=spin),
            _trouble=lambda: False,
        )
        if goes_on:
            deploy._Deployment.confirm(waiting, "it walks")
        else:
            with pytest.raises(deploy._StopError):
                deploy._Deployment.confirm(waiting, "it walks")
    os.close(controller)
    assert len(spins) >= 3 and len(said) == 1 and "Enter goes on" in said[0]


def test_a_robot_is_brought_to_walk_by_two_questions(monkeypatch):
    from legged_skills.sim2real.deploy.controller import Reply
    from legged_skills.sim2real.deploy.states import Event, State
    from legged_skills.sim2real.ros import deploy

    did: list[Any] = []
    refusals = ["its IMU is silent."]

    class Asked(deploy._Deployment):
        def __init__(self) -> None:
            self.run: Any = types.SimpleNamespace(command=(0.0, 0.0, 0.0), attended=True)
            self.operator: Any = self
            self.say, self.command, self.state = did.append, None, State.IDLE

        def confirm(self, what: str) -> None:
            did.append("asked")

        def until(self, condition: Any, patience_s: float) -> bool:
            return condition()

        def ask(self, event: Event) -> Reply:
            did.append(event)
            if refusals:
                return Reply(False, refusals.pop())
            self.state = State.READY if event is Event.PREPARE else State.POLICY
            return Reply(True, "")

        def _trouble(self) -> bool:
            return False

        def _reach(self, state: State, patience_s: float) -> None:
            assert self.state is state

    monkeypatch.setattr(deploy, "_MOMENT_S", -1.0)
    Asked().bring()
    # Who is refused is told why, and asked again.
    first = ["asked", Event.PREPARE, "its IMU is silent.", "asked", Event.PREPARE]
    assert did == [*first, "asked", Event.ENABLE]


@pytest.mark.parametrize(
    ("named", "state", "there"),
    [
        ([True] * 9, None, True),  # it says nothing, and stays
        ([True, True, False], None, False),  # one that was killed, and is forgotten
        ([False] * 9, None, False),
        ([False] * 9, "idle", True),
    ],
)
def test_a_bridge_that_is_there_already_is_not_one_that_was_killed(
    monkeypatch: pytest.MonkeyPatch, named: list[bool], state: str | None, there: bool
) -> None:
    from legged_skills.sim2real.ros import deploy

    names = iter(named)
    node: Any = types.SimpleNamespace(
        get_node_names=lambda: ["policy_bridge"] if next(names, named[-1]) else ["twin"]
    )

    def until(condition: Callable[[], bool], patience_s: float) -> bool:
        return any(condition() for _ in range(3))

    said: list[str] = []
    run: Any = types.SimpleNamespace(
        operator=types.SimpleNamespace(node=node, state=state, until=until),
        _trouble=lambda: False,
        say=said.append,
    )
    if there:
        with pytest.raises(deploy.DeploymentError, match="there is a policy_bridge already"):
            deploy._Deployment._require_no_bridge(run)
    else:
        deploy._Deployment._require_no_bridge(run)
    assert len(said) == (named[0] and state is None)


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("recover", [True, False])
def test_the_bridge_is_told_of_dry_runs_and_of_getting_up(tmp_path, dry_run, recover):
    from legged_skills.sim2real.ros import deploy

    started: dict[str, Any] = {}
    run = types.SimpleNamespace(
        twin=None,
        bundle=types.SimpleNamespace(robot="op3"),
        bundle_file=tmp_path / "b.onnx",
        out=tmp_path,
        params=None,
        dry_run=dry_run,
        recover=recover,
    )
    waiting: Any = types.SimpleNamespace(
        run=run,
        _child=started.__setitem__,
        _wait=lambda *_: None,
        _require_no_bridge=lambda: None,
    )
    deploy._Deployment.start(waiting)
    # For this node: what a file says for it would win over what is said for all.
    assert f"policy_bridge:dry_run:={str(dry_run).lower()}" in started["bridge"]
    flags = started["bridge"][: started["bridge"].index("--ros-args")]
    assert ("--dry-run" in flags) is dry_run
    # Who gets up lies.
    assert ("policy_bridge:tilt_limit_deg:=180.0" in started["bridge"]) is recover


@pytest.mark.parametrize("heard", [0, 1])
def test_a_twin_that_is_there_already_is_not_taken_for_the_new_one(heard):
    from legged_skills.sim2real.ros import deploy

    asked: list[str] = []
    run: Any = types.SimpleNamespace(
        observer=types.SimpleNamespace(heard=heard),
        _require_no_bridge=lambda: asked.append("bridge"),
    )
    if heard:
        with pytest.raises(deploy.DeploymentError, match="there is a twin already"):
            deploy._Deployment._require_alone(run)
    else:
        deploy._Deployment._require_alone(run)
    assert asked == ["bridge"]


@pytest.mark.parametrize("recover", [True, False])
def test_time_after_a_fall_counts_only_for_who_gets_up(monkeypatch, recover):
    from legged_skills.sim2real.deploy.states import State
    from legged_skills.sim2real.ros import deploy

    now = [0.0]
    monkeypatch.setattr(deploy.time, "monotonic", lambda: now[0])

    class Acting(deploy._Deployment):
        def __init__(self) -> None:
            self.run: Any = types.SimpleNamespace(
                seconds=25.0, recover=recover, bundle=types.SimpleNamespace(task="dribble")
            )
            self.operator: Any = types.SimpleNamespace(spin=self.spin, state=State.POLICY)
            self.observer: Any = types.SimpleNamespace(falls=0, counting=False)
            self.counted = 0

        def spin(self) -> None:
            now[0] += 0.125
            self.counted += self.observer.counting
            self.observer.falls = int(now[0] >= 10.0)

        def _ended(self) -> bool:
            return False

    acting = Acting()
    acting.act()
    assert acting.acted_s == 25.0
    # The first 5 s never count; of 20 s the fall leaves 5.
    assert acting.share == pytest.approx(1.0 if recover else 0.25, abs=0.01)
    assert acting.counted == pytest.approx(160 if recover else 40, abs=2)


@pytest.mark.parametrize("when", ["asked", "stopping"])
@pytest.mark.parametrize("hurry", [True, False])
def test_a_process_that_ends_while_the_robot_stops_is_told(when, hurry):
    from legged_skills.sim2real.deploy.controller import Reply
    from legged_skills.sim2real.deploy.states import Event, State
    from legged_skills.sim2real.ros import deploy

    bridge: Any = types.SimpleNamespace(name="bridge", code=None, last_words=lambda: "killed")

    class Resting(deploy._Deployment):
        def __init__(self) -> None:
            self.operator: Any = self
            self.stop: Any = types.SimpleNamespace(asked=hurry, hurry=hurry)
            self.children, self.state, self.command = [bridge], State.POLICY, None

        def ask(self, event: Event, hurry: Callable[[], bool]) -> Reply:
            assert event is Event.STOP and not hurry()
            if when == "asked":
                bridge.code = -9
                assert hurry()
            return Reply(True, "")

        def until(self, condition: Callable[[], bool], patience_s: float) -> bool:
            if condition():
                return True
            bridge.code = -9
            return condition()

    if hurry:
        Resting().rest()
    else:
        with pytest.raises(deploy.DeploymentError, match="the bridge has ended: killed"):
            Resting().rest()


def test_a_real_robot_needs_a_terminal_to_be_asked_at(bundle_files, tmp_path):
    out = tmp_path / "out"
    process = _deploy(
        "--robot", "op3", "--bundle", bundle_files["op3"], "--domain", 91, "--out", out
    )
    _, complaint = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2 and "standard input is no terminal" in complaint
