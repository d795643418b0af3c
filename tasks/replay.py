"""A recorded deployment through training's path: the agent in JAX instead of the bundle's graph."""

from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from legged_skills import robots
from legged_skills.robots.errors import ContractError, FileFormatError
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.deploy.recorded_run import RecordedRun
from legged_skills.sim2real.raw_frame import term_slices
from legged_skills.sim2real.runtime import Runtime
from legged_skills.skill_module.rollout import act
from legged_skills.tasks.commander_file import AnyPolicy
from legged_skills.tasks.commands import load_policy, recovering, timing
from legged_skills.tasks.export import Exported, command_scale, policy_bundle


class TracingRuntime(Runtime):
    """Keeps what the policy was told and what it decided, step by step."""

    def __init__(self, bundle: Bundle) -> None:
        """Nothing has been told yet.

        Args:
            bundle: the policy.
        """
        super().__init__(bundle)
        self._told: list[tuple[np.ndarray, ...]] = []

    def step(self) -> np.ndarray:
        """As ``Runtime.step``."""
        targets = super().step()
        kept = (self._frames, self.command, self._z_tm1, self.joint_targets, self.z)
        self._told.append(tuple(array[0].copy() for array in kept))
        return targets

    def __len__(self) -> int:
        """S, the steps of the policy so far."""
        return len(self._told)

    def trace(self) -> tuple[np.ndarray, ...]:
        """All of it, stacked.

        Returns:
            Raw frames (S, H, F), commands (S, C), what was carried (S, L), targets (S, J) [rad],
            and what was handed on (S, L).
        """
        return tuple(np.stack(column) for column in zip(*self._told, strict=True))


def policy_of(
    run: RecordedRun, path: Path | None = None, getup: Path | None = None
) -> Exported | None:
    """The policy whose bundle a recording was made with.

    Args:
        run: the recording.
        path: the task policy's file; by default the one that comes with the package is tried.
        getup: that of the policy that gets up, of a bundle that has one; likewise.

    Returns:
        The policy, or None if no file is given and it is not the package's.

    Raises:
        ContractError: the files' policy is another one.
    """
    robot, task = str(run.header["robot"]), str(run.header["task"])
    try:
        policy = load_policy(robot, task, path)
    except FileFormatError:
        if path is not None:
            raise
        return None
    for found in _with_and_without_getup(policy, getup):
        for when in (timing(robot), None):
            if policy_bundle(found, when).sha256 == run.header["bundle"]:
                return found
    if path is not None or getup is not None:
        raise ContractError(f"{path or getup}: {run.source} was recorded with another policy.")
    return None


def _with_and_without_getup(policy: AnyPolicy, getup: Path | None) -> Iterator[Exported]:
    yield policy
    try:
        yield recovering(policy, getup)
    except FileFormatError:
        # The package has none for this robot.
        if getup is not None:
            raise


def compare_training(policy: Exported, runtime: TracingRuntime) -> tuple[float, float, int]:
    """Lets the agent decide on all that a runtime was told, each step by itself.

    Args:
        policy: the policy of the runtime's bundle.
        runtime: after a replay in which the policy acted.

    Returns:
        Greatest difference of a joint target [rad], of what is handed on to the next step, and the
        step, counted from 0, with the greatest difference of a target.
    """
    frames, command, z_tm1, targets, z = runtime.trace()
    contract, spec = policy.contract, robots.get(policy.robot)
    signals = {name: frames[..., where] for name, where in term_slices(contract).items()}
    obs = {
        "proprioception": contract.frame(signals).reshape(len(frames), -1),
        "task": command * command_scale(policy),
    }
    decision = act(policy.agent, policy.params, obs, z_tm1, jax.random.key(0), deterministic=True)
    off = np.abs(targets - spec.joint_targets(np.asarray(decision.action))).max(axis=1)
    return float(off.max()), float(np.abs(z - np.asarray(decision.z)).max()), int(off.argmax())
