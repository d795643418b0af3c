"""Writes a task policy as a policy bundle: one ONNX file with its contract inside.

The graph is built node by node from the policy's weights. What it takes and gives is described in
``legged_skills.sim2real.bundle``, which also reads it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

from legged_skills import __version__, robots
from legged_skills.robots.errors import ContractError, SettingsError
from legged_skills.robots.files import atomic_write
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.agreement import require_robot
from legged_skills.sim2real.ball_camera import MAX_RATE_MPS, CameraConfig
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.bundle_header import (
    HEADER_KEY,
    PRODUCER,
    VELOCITY,
    BundleHeader,
    CommandComponent,
    seal,
)
from legged_skills.sim2real.deploy.intake import BALL_COMPONENTS, VELOCITY_COMPONENTS
from legged_skills.sim2real.raw_frame import frame_offset, frame_scale
from legged_skills.skill_module.module_file import read_settings
from legged_skills.tasks.ball_tracker import (
    AGE,
    BALL_GAIN,
    BALL_RATE,
    CARRIED_SIZE,
    FRESH_S,
    JUMP_M,
    LEAST_MPS,
    OLDEST_S,
    OLDEST_TARGET_S,
    STALE_S,
    TARGET_GAIN,
    TARGET_RATE,
    TRACKED_SIZE,
    BallTracker,
)
from legged_skills.tasks.commander import MOST_BEFORE, REST_AGE_S
from legged_skills.tasks.commander_file import AnyPolicy, CommanderPolicy
from legged_skills.tasks.dribble_config import DribbleConfig, task_scale
from legged_skills.tasks.estimator import VELOCITY_SIZE
from legged_skills.tasks.export_getup import add_recovering
from legged_skills.tasks.getup import STATE_SIZE
from legged_skills.tasks.onnx_graph import Graph
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.recovering import RecoveringPolicy
from legged_skills.tasks.stride_clock import CLOCK_SIZE, LEAST_SIZE, StrideClock
from legged_skills.tasks.trim import LIMIT, TRIM_SIZE, WINDOW, VelocityTrim
from legged_skills.tasks.walk import COMMAND_SCALE, COMMAND_SIZE, WalkConfig

Exported = AnyPolicy | RecoveringPolicy
"""What can be written as a bundle."""
OPSET = 17
IR_VERSION = 8
"""What onnxruntime has read since 1.13; nothing newer is needed."""
_WHAT = "the policy to export"
"""What it is called in messages."""


def export_policy(
    policy: Exported, path: str | Path, timing: Mapping[str, Any] | None = None
) -> None:
    """Writes a policy as a bundle, atomically, after reading it back from memory.

    Args:
        policy: the policy; its latent's mean is taken at every step.
        path: the file to write, usually ``.onnx``.
        timing: when things happen on its robot, for the header.

    Raises:
        FileFormatError: the file cannot be written, or the weights are not finite.
        ContractError: the policy is not for its robot as that is specified now.
        SettingsError: there is no command of its task to export.
    """
    data = export_bytes(policy, timing)
    spec = robots.get(policy.robot)
    Bundle.from_bytes(data, str(path), spec, policy.task, policy.contract)
    with atomic_write(path) as file:
        file.write(data)


def export_bytes(policy: Exported, timing: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of a policy's bundle; the same policy always gives the same bytes.

    Args:
        policy: the policy.
        timing: see ``export_policy``.

    Raises:
        ContractError: the policy is not for its robot as that is specified now.
        FileFormatError: its task's settings are those of another version.
        SettingsError: there is no command of its task to export.
    """
    spec = robots.get(policy.robot)
    require_robot(policy.contract, spec, _WHAT)
    header = _header(policy, spec, timing)
    if policy.task_size != len(header.command):
        raise ContractError(
            f"{_WHAT} is told {policy.task_size} numbers of its task, "
            f"expected a command of {len(header.command)}."
        )
    model = _model(policy, spec)
    helper.set_model_props(model, {HEADER_KEY: header.to_text()})
    onnx.checker.check_model(model, full_check=True)
    return seal(model.SerializeToString(deterministic=True))


def policy_bundle(policy: Exported, timing: Mapping[str, Any] | None = None) -> Bundle:
    """A policy as a bundle in memory, to run it exactly as on a robot.

    Raises:
        ContractError: the policy is not for its robot as that is specified now.
        FileFormatError: the weights are not finite.
        SettingsError: there is no command of its task to export.
    """
    name = f"the {policy.task} policy of {policy.robot}"
    return Bundle.from_bytes(export_bytes(policy, timing), name)


def _header(policy: Exported, spec: RobotSpec, timing: Mapping[str, Any] | None) -> BundleHeader:
    command = _command(policy)
    return BundleHeader(
        task=policy.task,
        contract=policy.contract,
        command_name=command.name,
        command=command.components,
        rest=command.rest,
        latent_size=policy.agent.carried_size,
        joint_lower=spec.joint_lower,
        joint_upper=spec.joint_upper,
        torque_limit=spec.torque_limit,
        velocity_limit=spec.velocity_limit,
        version=__version__,
        training=dict(policy.summary),
        timing=None if timing is None else dict(timing),
    )


class _Command(NamedTuple):
    """What a policy is told of its task."""

    name: str
    """What it is."""
    components: tuple[CommandComponent, ...]
    """Its numbers, with the ranges of training."""
    scale: np.ndarray
    """(C,) what they are multiplied by."""
    rest: tuple[float, ...] | None
    """(C,) what makes the robot stand; None if nothing does."""


def _command(policy: Exported) -> _Command:
    """The command of the policy's task."""
    commands = {"walk": _walk_command, "dribble": _dribble_command}
    if policy.task not in commands:
        raise SettingsError(
            f"cannot export a policy of task {policy.task!r}; known tasks: {', '.join(commands)}."
        )
    return commands[policy.task](policy)


def _walk_command(policy: Exported) -> _Command:
    paces = read_settings(_WHAT, WalkConfig, policy.config).paces(policy.robot)
    components = [
        CommandComponent(name=name, unit=unit, low=low, high=high)
        for name, unit, (low, high) in zip(
            VELOCITY_COMPONENTS, ("m/s", "m/s", "rad/s"), paces.ranges.tolist(), strict=True
        )
    ]
    return _Command(VELOCITY, tuple(components), COMMAND_SCALE, (0.0,) * len(components))


def _dribble_command(policy: Exported) -> _Command:
    """What the camera says, in the robot's heading frame: see ``DribbleEnv.told``."""
    sizes = read_settings(_WHAT, DribbleConfig, policy.config).sizes(policy.robot)
    place = [("m", -sizes.range_m, sizes.range_m)] * 2
    speed = [("m/s", -MAX_RATE_MPS, MAX_RATE_MPS)] * 2
    age = ("s", 0.0, CameraConfig().max_age_s)
    components = [
        CommandComponent(name=name, unit=unit, low=low, high=high)
        for name, (unit, low, high) in zip(
            BALL_COMPONENTS, (*place, *speed, age, *place), strict=True
        )
    ]
    rest = np.zeros(len(components))
    rest[AGE] = REST_AGE_S
    commander = policy.policy if isinstance(policy, RecoveringPolicy) else policy
    rests = isinstance(commander, CommanderPolicy)
    return _Command(
        "ball_and_target",
        tuple(components),
        task_scale(sizes),
        tuple(rest.tolist()) if rests else None,
    )


def command_scale(policy: Exported) -> np.ndarray:
    """(C,) what the numbers of a bundle's command are multiplied by to be the policy's "task".

    Raises:
        SettingsError: there is no command of its task to export.
    """
    return _command(policy).scale


def _model(policy: Exported, spec: RobotSpec) -> onnx.ModelProto:
    """The graph: scaled observation, what is carried, action, clamped joint targets."""
    contract, graph = policy.contract, Graph()
    centred = graph.add(
        "Sub", ["observation", graph.constant("offset", frame_offset(contract))], "centred"
    )
    scaled = graph.add("Mul", [centred, graph.constant("scale", frame_scale(contract))], "scaled")
    sensed = graph.add("Flatten", [scaled], "proprioception", axis=1)
    task = graph.add(
        "Mul", ["command", graph.constant("command_scale", _command(policy).scale)], "task"
    )
    carried = policy.agent.carried_size
    if isinstance(policy, RecoveringPolicy):
        action = _add_task_policy(graph, policy.policy, sensed, task, STATE_SIZE, "task_carried")
        action = add_recovering(graph, policy, sensed, action, "task_carried")
    else:
        action = _add_task_policy(graph, policy, sensed, task, 0, "z")
    _add_targets(graph, action, spec)
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            f"{policy.robot}_{policy.task}",
            [
                _tensor("observation", contract.history, contract.frame_size),
                _tensor("command", policy.task_size),
                _tensor("z_tm1", carried),
            ],
            [_tensor("joint_targets", spec.num_joints), _tensor("z", carried)],
            initializer=graph.constants,
        ),
        producer_name=PRODUCER,
        producer_version=__version__,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )


def _add_task_policy(
    graph: Graph,
    policy: TaskPolicy | CommanderPolicy,
    sensed: str,
    task: str,
    carried_from: int,
    carried: str,
) -> str:
    """Adds a policy of either kind; arguments as in ``_add_latent_policy``; gives the action."""
    if isinstance(policy, CommanderPolicy):
        return _add_commander(graph, policy, sensed, task, carried_from, carried)
    velocity = _add_velocity(graph, policy, sensed, carried_from)
    return _add_latent_policy(graph, policy, sensed, velocity, task, carried_from, carried)


def _add_velocity(
    graph: Graph, policy: TaskPolicy, sensed: str, carried_from: int
) -> tuple[str, str]:
    """Adds the estimator: the velocity now, and its running mean.

    Args:
        graph: the graph.
        policy: whose estimator.
        sensed: the proprioception.
        carried_from: where in "z_tm1" begins what the policy carries.
    """
    start = carried_from + policy.decoder.latent_size
    mean_tm1 = graph.slice("z_tm1", start, start + VELOCITY_SIZE, "mean_velocity_tm1")
    velocity = graph.mlp("estimator", policy.params["estimator"], sensed, "velocity")
    surprise = graph.add("Sub", [velocity, mean_tm1], "surprise")
    share = graph.constant("memory", policy.agent.estimator.memory_share)
    learned = graph.add("Mul", [surprise, share], "learned")
    return velocity, graph.add("Add", [mean_tm1, learned], "mean")


def _add_latent_policy(
    graph: Graph,
    policy: TaskPolicy,
    sensed: str,
    velocity: tuple[str, str],
    task: str,
    carried_from: int,
    carried: str,
) -> str:
    """Adds a policy that moves a decoder, as ``ReuseAgent`` is; gives the action.

    Args:
        graph: the graph.
        policy: the policy.
        sensed: the proprioception.
        velocity: as ``_add_velocity`` gives it.
        task: what it is told of its task.
        carried_from: where in "z_tm1" begins what it carries.
        carried: name of what it carries to the next step.
    """
    agent, latent = policy.agent, policy.decoder.latent_size
    z_tm1 = graph.slice("z_tm1", carried_from, carried_from + latent, "latent_tm1")
    now, mean = velocity
    memory, start = [mean], carried_from + latent + VELOCITY_SIZE
    goes = _add_goes(graph, task) if agent.trim is not None or agent.clock is not None else ""
    if agent.trim is not None:
        before = graph.slice("z_tm1", start, start + TRIM_SIZE, "trim_tm1")
        trim, task = _add_trim(graph, agent.trim, before, sensed, task, mean, goes)
        memory.append(trim)
        start += TRIM_SIZE
    told = [sensed, now, mean, task]
    if agent.clock is not None:
        before = graph.slice("z_tm1", start, start + CLOCK_SIZE, "clock_tm1")
        clock = _add_clock(graph, agent.clock, before, goes)
        memory.append(clock)
        told.append(clock)
    inputs = graph.add("Concat", [*told, z_tm1], "policy_input", axis=1)
    added = graph.mlp("policy", policy.params["policy"], inputs, "added")
    share = _share(policy.params["filter_logit"])
    kept = graph.add("Mul", [z_tm1, graph.constant("filter", share)], "kept")
    z = graph.add("Add", [kept, added], "latent")
    graph.add("Concat", [z, *memory], carried, axis=1)
    both = graph.add("Concat", [sensed, z], "decoder_input", axis=1)
    if not agent.corrects:
        return graph.mlp("decoder", policy.decoder.params, both, "action")
    action = graph.mlp("decoder", policy.decoder.params, both, "decoded")
    inputs = graph.add("Concat", [*told, z], "correction_input", axis=1)
    added = graph.mlp("correction", policy.params["correction"], inputs, "correction")
    return graph.add("Add", [action, added], "action")


def _add_commander(
    graph: Graph, policy: CommanderPolicy, sensed: str, task: str, carried_from: int, carried: str
) -> str:
    """Adds a policy that commands a walk, and the walk; as ``_add_latent_policy``."""
    walk = policy.agent.walk
    tracker_from = carried_from + 2 * COMMAND_SIZE
    walk_from = tracker_from + CARRIED_SIZE
    before = graph.slice("z_tm1", carried_from, carried_from + COMMAND_SIZE, "u_before")
    ends = (graph.constant("u_least", -MOST_BEFORE), graph.constant("u_most", MOST_BEFORE))
    before = graph.add("Clip", [before, *ends], "u_tm1")
    known = graph.slice("z_tm1", tracker_from, walk_from, "tracker_tm1")
    velocity = _add_velocity(graph, policy.walk, sensed, walk_from)
    tracker = policy.agent.tracker
    tracked = _add_tracker(graph, tracker, known, sensed, task, velocity[0])
    seen = graph.add("Mul", [tracked, graph.constant("metre", tracker.scale)], "tracked_scaled")
    told = [sensed, *velocity, task, seen, before]
    inputs = graph.add("Concat", told, "commander_input", axis=1)
    u = graph.mlp("commander", policy.params["policy"], inputs, "u")
    bounded = graph.add("Tanh", [u], "u_share")
    forth = graph.add("Relu", [bounded], "u_forth")
    back = graph.add("Sub", [bounded, forth], "u_back")
    fastest = graph.constant("fastest", walk.fastest * COMMAND_SCALE)
    slowest = graph.constant("slowest", -walk.slowest * COMMAND_SCALE)
    parts = [
        graph.add("Mul", [forth, fastest], "told_forth"),
        graph.add("Mul", [back, slowest], "told_back"),
    ]
    walk_task = graph.add("Add", parts, "walk_goes")
    age = graph.slice(task, AGE, AGE + 1, "rest_age")
    rests = graph.add("GreaterOrEqual", [age, graph.constant("rest_from", [[REST_AGE_S]])], "rests")
    stand = graph.constant("walk_stands", np.zeros((1, COMMAND_SIZE)))
    walk_task = graph.add("Where", [rests, stand, walk_task], "walk_task")
    action = _add_latent_policy(
        graph, policy.walk, sensed, velocity, walk_task, walk_from, "walk_carried"
    )
    # Nothing explores: the command is not off its mean.
    off = graph.add("Sub", [u, u], "u_off")
    graph.add("Concat", [u, off, tracked, "tracker_begun", "walk_carried"], carried, axis=1)
    return action


def _add_tracker(
    graph: Graph, tracker: BallTracker, carried: str, sensed: str, task: str, velocity: str
) -> str:
    """Adds what ``BallTracker`` computes; gives what is known, and adds "tracker_begun"."""

    def number(name: str, value: float) -> str:
        return graph.constant(f"tracker_{name}", [[value]])

    def plus(a: str, b: str, output: str) -> str:
        return graph.add("Add", [a, b], output)

    def minus(a: str, b: str, output: str) -> str:
        return graph.add("Sub", [a, b], output)

    def times(a: str, b: str, output: str) -> str:
        return graph.add("Mul", [a, b], output)

    metre, period = number("scale", tracker.scale), number("period", tracker.period_s)
    left = graph.constant("tracker_left", [[0.0, 1.0], [-1.0, 0.0]])
    own = graph.slice(velocity, 0, 2, "own_share")
    own = times(own, number("unit", tracker.velocity_unit_mps), "own_mps")
    turning = graph.slice(sensed, tracker.gyro, tracker.gyro + 1, "turning_scaled")
    turning = graph.add("Div", [turning, number("gyro", tracker.gyro_scale)], "turning")
    age = graph.slice(task, AGE, AGE + 1, "ball_age")

    def turned(vector: str, name: str) -> str:
        """How fast the turning robot makes a vector change."""
        return times(turning, graph.add("MatMul", [vector, left], f"{name}_left"), f"{name}_turned")

    def followed(name: str, at: int, told_at: int) -> tuple[str, str, str]:
        """Position and velocity a step later, and where the camera says that the thing is."""
        seen = graph.slice(task, told_at, told_at + 2, f"{name}_told")
        seen = graph.add("Div", [seen, metre], f"{name}_seen")
        was = minus(graph.slice(carried, at, at + 2, f"{name}_tm1"), seen, f"{name}_from_seen")
        was = plus(seen, times(begun, was, f"{name}_if_begun"), f"{name}_was")
        vel = graph.slice(carried, at + 2, at + 4, f"{name}_vel_tm1")
        vel = times(begun, vel, f"{name}_vel_was")
        step = times(period, passing(was, vel, f"{name}_was"), f"{name}_step")
        turn = times(period, turned(vel, f"{name}_vel_was"), f"{name}_vel_step")
        return plus(was, step, f"{name}_moved"), minus(vel, turn, f"{name}_vel_moved"), seen

    def passing(point: str, vel: str, name: str) -> str:
        """How fast a thing moves past the robot."""
        nearer = minus(vel, own, f"{name}_nearer")
        return minus(nearer, turned(point, name), f"{name}_passing")

    def missed(point: str, vel: str, seen: str, oldest_s: float, name: str) -> str:
        """How far a thing is seen from where it was at the time of the picture."""
        before = graph.add("Min", [age, number(f"{name}_oldest", oldest_s)], f"{name}_before")
        back = times(before, passing(point, vel, f"{name}_now"), f"{name}_back")
        return minus(seen, minus(point, back, f"{name}_then"), f"{name}_missed")

    begun = graph.slice(carried, TRACKED_SIZE, CARRIED_SIZE, "begun_tm1")
    ball, ball_vel, seen = followed("ball", 0, 0)
    speed = graph.add("ReduceL2", [ball_vel], "ball_speed", axes=[1])
    speed = graph.add("Max", [speed, number("least", LEAST_MPS)], "ball_speed_least")
    slower = number("slowing", tracker.slowing_mps2 * tracker.period_s)
    slower = graph.add("Div", [slower, speed], "ball_slower")
    slower = minus(number("whole", 1.0), slower, "ball_keeps")
    slower = graph.add("Max", [slower, number("stops", 0.0)], "ball_rolls_on")
    ball_vel = times(ball_vel, slower, "ball_vel_slowed")
    off = missed(ball, ball_vel, seen, OLDEST_S, "ball")
    fresh = minus(number("stale", STALE_S), age, "ball_fresh")
    fresh = graph.add("Div", [fresh, number("fades", STALE_S - FRESH_S)], "ball_fresh_share")
    fresh = graph.add("Min", [fresh, number("full", 1.0)], "ball_fresh_most")
    fresh = graph.add("Max", [fresh, number("none", 0.0)], "ball_counts")
    off = times(fresh, off, "ball_off")
    ball = plus(ball, times(off, number("ball_gain", BALL_GAIN), "ball_more"), "ball")
    more = times(off, number("ball_rate", BALL_RATE), "ball_vel_more")
    ball_vel = plus(ball_vel, more, "ball_vel")

    target, target_vel, seen = followed("target", 4, 5)
    off = missed(target, target_vel, seen, OLDEST_TARGET_S, "target")
    far = graph.add("ReduceSumSquare", [off], "target_far", axes=[1])
    jumps = graph.add("Greater", [far, number("jump", JUMP_M**2)], "target_jumps")
    more = times(off, number("target_gain", TARGET_GAIN), "target_more")
    target = graph.add("Where", [jumps, seen, plus(target, more, "target_near")], "target")
    more = times(off, number("target_rate", TARGET_RATE), "target_vel_more")
    near = plus(target_vel, more, "target_vel_near")
    target_vel = graph.add("Where", [jumps, target_vel, near], "target_vel")
    plus(minus(begun, begun, "begun_none"), number("one", 1.0), "tracker_begun")
    return graph.add("Concat", [ball, ball_vel, target, target_vel], "tracked", axis=1)


def _share(logit: Any) -> np.ndarray:
    """A filter constant from what is learned of it."""
    return 1.0 / (1.0 + np.exp(-np.float64(logit)))


def _add_trim(
    graph: Graph, trim: VelocityTrim, before: str, sensed: str, task: str, mean: str, goes: str
) -> tuple[str, str]:
    """Adds what ``VelocityTrim`` computes: what is carried, and the task the policy is told."""
    zero, scale = graph.constant("zero", 0.0), graph.constant("trim_scale", trim.task_scale)
    trim_tm1 = graph.slice(before, 0, COMMAND_SIZE, "trim_before")
    rate_tm1 = graph.slice(before, COMMAND_SIZE, TRIM_SIZE, "rate_tm1")
    gyro = graph.slice(sensed, trim.gyro, trim.gyro + 1, "gyro")
    rate_now = graph.add("Div", [gyro, graph.constant("gyro_scale", trim.gyro_scale)], "rate_now")
    news = graph.add("Sub", [rate_now, rate_tm1], "rate_surprise")
    share = graph.constant("rate_memory", trim.memory_share)
    rate = graph.add("Add", [rate_tm1, graph.add("Mul", [news, share], "rate_learned")], "rate")
    along = graph.slice(mean, 0, 2, "going_along")
    going = graph.add("Concat", [along, rate], "going", axis=1)
    wanted = graph.add("Div", [task, scale], "wanted")
    missing = graph.add("Sub", [wanted, going], "missing")
    share = graph.add("Div", [missing, graph.constant("trim_window", WINDOW)], "missing_share")
    lost = graph.add("Mul", [share, share], "missing_lost")
    kept = graph.add("Sub", [graph.constant("one", 1.0), lost], "missing_kept")
    weight = graph.add("Max", [kept, zero], "missing_weight")
    counted = graph.add("Mul", [weight, missing], "counted")
    moved_by = graph.add("Div", [counted, graph.constant("trim_steps", trim.steps)], "trim_step")
    moved = graph.add("Add", [trim_tm1, moved_by], "trim_free")
    upper, lower = graph.constant("trim_upper", LIMIT), graph.constant("trim_lower", -LIMIT)
    above = graph.add("Max", [moved, lower], "trim_above")
    within = graph.add("Min", [above, upper], "trim_within")
    now = graph.add("Where", [goes, within, zero], "trim")
    told = graph.add("Add", [task, graph.add("Mul", [now, scale], "trim_task")], "told_task")
    return graph.add("Concat", [now, rate], "trim_carried", axis=1), told


def _add_goes(graph: Graph, command: str) -> str:
    """Adds whether anything is commanded (B, 1)."""
    sizes = graph.add("Abs", [command], "command_sizes")
    fastest = graph.add("ReduceMax", [sizes], "command_fastest", axes=[1])
    return graph.add("Greater", [fastest, graph.constant("none", 0.0)], "goes")


def _add_clock(graph: Graph, clock: StrideClock, before: str, goes: str) -> str:
    """Adds what ``StrideClock`` computes; gives cosine and sine."""
    zero, start = graph.constant("clock_zero", 0.0), graph.constant("clock_start", clock.start)
    size = graph.add("ReduceL2", [before], "clock_size", axes=[1])
    ran = graph.add("Greater", [size, zero], "ran")
    least = graph.add("Max", [size, graph.constant("clock_least", [[LEAST_SIZE]])], "clock_some")
    begun = graph.add(
        "Where", [ran, graph.add("Div", [before, least], "clock_unit"), start], "clock_begun"
    )
    turned = graph.add("MatMul", [begun, graph.constant("clock_turn", clock.turn)], "clock_turned")
    return graph.add("Where", [goes, turned, zero], "clock")


def _add_targets(graph: Graph, action: str, spec: RobotSpec) -> None:
    """Adds what ``RobotSpec.joint_targets`` computes."""
    moved = graph.add("Mul", [action, graph.constant("action_scale", spec.action_scale)], "moved")
    asked = graph.add(
        "Add", [moved, graph.constant("default_pose", spec.default_joint_pos)], "asked"
    )
    lower, upper = _within(spec.joint_lower, np.inf), _within(spec.joint_upper, -np.inf)
    above = graph.add("Max", [asked, graph.constant("joint_lower", lower)], "above")
    graph.add("Min", [above, graph.constant("joint_upper", upper)], "joint_targets")


def _within(limit: np.ndarray, inwards: float) -> np.ndarray:
    """(J,) float32 limits, rounded inwards so that no target exceeds the float64 ones."""
    rounded = limit.astype(np.float32)
    beyond = (rounded < limit) if inwards > 0.0 else (rounded > limit)
    return np.where(beyond, np.nextafter(rounded, np.float32(inwards)), rounded)


def _tensor(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
