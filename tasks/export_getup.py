"""Getting up, as a part of policy bundles."""

import numpy as np
from onnx import TensorProto, numpy_helper

from legged_skills.sim2real.raw_frame import frame_scale, term_slices
from legged_skills.tasks.getup import BACK, FRONT
from legged_skills.tasks.onnx_graph import Graph
from legged_skills.tasks.recovering import RecoveringPolicy


def add_recovering(
    graph: Graph, policy: RecoveringPolicy, sensed: str, action: str, carried: str
) -> str:
    """Adds what gets up when the robot has fallen, as ``RecoveringAgent`` does; gives the action.

    What is carried to the next step becomes "z". All flags are (B, 1).

    Args:
        graph: the graph, with the task's policy in it.
        policy: the policy.
        sensed: the proprioception.
        action: what the task's policy does.
        carried: what it carries to the next step.
    """
    agent, contract = policy.agent, policy.contract
    motion, slices, scale = agent.getup.motion, term_slices(contract), frame_scale(contract)
    newest = (contract.history - 1) * contract.frame_size

    def number(name: str, value: float) -> str:
        return graph.constant(f"getup_{name}", [[value]])

    def either(operator: str, a: str, b: str, output: str) -> str:
        return graph.add(operator, [a, b], output)

    def opposite(flag: str) -> str:
        return graph.add("Not", [flag], f"not_{flag}")

    gravity, last = slices["gravity"].start + newest, slices["last_action"].start + newest
    ahead = graph.slice(sensed, gravity, gravity + 1, "gravity_ahead")
    along = graph.slice(sensed, gravity + 2, gravity + 3, "gravity_along")
    # Gravity's scale does not change which side is up.
    upwards = -1.0 / float(scale[slices["gravity"].start + 2])
    up = either("Mul", along, number("upwards", upwards), "up")
    step_tm1, side_tm1, down_tm1 = (
        graph.slice("z_tm1", i, i + 1, name)
        for i, name in enumerate(("getup_step_tm1", "getup_side_tm1", "getup_down_tm1"))
    )
    zero, one = number("zero", 0.0), number("one", 1.0)
    is_down = either("Less", up, number("down_below", np.cos(agent.config.down_rad)), "is_down")
    longer = either("Add", down_tm1, one, "down_longer")
    down = graph.add("Where", [is_down, longer, zero], "getup_down")
    busy_tm1 = either("Greater", step_tm1, zero, "busy_tm1")
    side_index = graph.add("Cast", [side_tm1], "side_index", to=TensorProto.INT64)

    def reached(name: str, steps: np.ndarray) -> str:
        """Whether so many steps (S,) are over."""
        of_sides = graph.constant(f"getup_{name}_steps", steps)
        wanted = either("Gather", of_sides, side_index, f"{name}_steps")
        return either("GreaterOrEqual", step_tm1, wanted, name)

    over = reached("over", motion.steps)
    stands = either("Greater", up, number("up_above", np.cos(agent.config.up_rad)), "stands")
    long_down = either("GreaterOrEqual", down, number("down_steps", agent.down_steps), "long_down")
    falls = either("And", opposite(busy_tm1), long_down, "falls")
    failed = either("And", reached("last_pose", motion.upright), is_down, "failed")
    unsteady = either("And", over, opposite(stands), "unsteady")
    again = either("And", busy_tm1, either("Or", failed, unsteady, "in_vain"), "again")
    begins = either("Or", falls, again, "begins")
    goes_on = either("And", busy_tm1, opposite(over), "goes_on")
    next_step = either("Add", step_tm1, one, "next_step")
    kept = graph.add("Where", [goes_on, next_step, zero], "kept_step")
    step = graph.add("Where", [begins, one, kept], "getup_step")
    on_front = either("Greater", ahead, zero, "on_front")
    sides = [number("front", float(FRONT)), number("back", float(BACK))]
    lies_on = graph.add("Where", [on_front, *sides], "lies_on")
    side = graph.add("Where", [begins, lies_on, side_tm1], "getup_side")
    busy = either("Greater", step, zero, "busy")

    many = motion.targets.shape[1]
    before = graph.add("Sub", [step, one], "step_before")
    within = graph.add(
        "Clip",
        [before, graph.constant("first_row", 0.0), graph.constant("last_row", many - 1.0)],
        "row_of_side",
    )
    row = either(
        "Add", either("Mul", side, number("rows", float(many)), "side_rows"), within, "row"
    )
    flat = graph.add("Cast", [row], "row_index", to=TensorProto.INT64)
    graph.constants.append(numpy_helper.from_array(np.array([-1], np.int64), "all_rows"))
    index = graph.add("Reshape", [flat, "all_rows"], "rows_index")

    def looked_up(name: str, table: np.ndarray) -> str:
        rows = graph.constant(f"getup_{name}_table", table.reshape(len(motion.steps) * many, -1))
        return graph.add("Gather", [rows, index], f"getup_{name}", axis=0)

    last_scale = graph.constant("last_action_scale", 1.0 / scale[slices["last_action"]])
    last_action = either(
        "Mul",
        graph.slice(sensed, last, last + scale[slices["last_action"]].size, "last_scaled"),
        last_scale,
        "last_action",
    )
    way = graph.add("Sub", [looked_up("target", motion.targets), last_action], "way")
    towards = either("Mul", way, looked_up("share", motion.shares), "towards")
    upwards_action = either("Add", last_action, towards, "getup_reference")
    if agent.getup.agent is not None:
        seen = graph.add("Concat", [sensed, looked_up("told", motion.told)], "getup_input", axis=1)
        added = graph.mlp("getup", agent.getup.params["policy"], seen, "getup_added")
        upwards_action = either("Add", upwards_action, added, "getup_action")
    kept_carried = graph.add("Where", [busy, zero, carried], "task_kept")
    graph.add("Concat", [step, side, down, kept_carried], "z", axis=1)
    calm = graph.add("Where", [is_down, zero, action], "task_action")
    return graph.add("Where", [busy, upwards_action, calm], "action_of_all")
