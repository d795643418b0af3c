"""The commands that measure, export and validate policies; ``cli.py`` puts all together.

Each imports what it needs when it runs, so that ``--help`` is quick.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional, UseAppendAction

from legged_skills.robots.console import OUT, write_bytes, write_json
from legged_skills.robots.errors import (
    ClipError,
    SettingsError,
    require_at_least,
    require_count,
    require_ending,
    require_positive,
)

if TYPE_CHECKING:
    from legged_skills.mocap.clip import RobotClip
    from legged_skills.mocap.walking import Walking
    from legged_skills.robots.spec import RobotSpec
    from legged_skills.sim2real.bundle import Bundle
    from legged_skills.tasks.commander_file import AnyPolicy
    from legged_skills.tasks.getup_file import GetupPolicy
    from legged_skills.tasks.recovering import RecoveringPolicy


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a task policy as a bundle: one ONNX file with all that the robot must know of it."""

    out: Path
    """The bundle (.onnx)."""
    robot: str = "anymal_c"
    """The robot."""
    task: Literal["walk", "dribble"] = "walk"
    """The task."""
    policy: Path | None = None
    """Task policy; by default the one that comes with the package."""
    recover: bool = False
    """Let it get up by itself when it has fallen, with the policy that comes with the package."""
    getup: Path | None = None
    """With --recover: another policy that gets up."""

    def run(self) -> int:
        """Exports, and says what is in the bundle."""
        from legged_skills.sim2real.bundle import Bundle
        from legged_skills.tasks.export import Exported, export_policy

        require_ending(self.out, "bundle", [".onnx"])
        if self.getup is not None and not self.recover:
            raise SettingsError("getup is for a policy that recovers: expected --recover, too.")
        policy: Exported = load_policy(self.robot, self.task, self.policy)
        if self.recover:
            policy = recovering(policy, self.getup)
        export_policy(policy, self.out, timing(self.robot))
        bundle = Bundle.load(self.out, robot=self.robot, task=self.task)
        OUT.print(
            f"wrote {self.out}: {self.task} of {self.robot}, contract {bundle.contract.hash}, "
            f"one step every {1e3 * bundle.contract.control_period_s:g} ms"
        )
        return 0


@dataclass(frozen=True, kw_only=True)
class Validate:
    """Run a policy, as the robot would run it, on other physics than it was trained on.

    Ends with 1 if a gate is missed.
    """

    bundle: Positional[Path | None] = None
    """Policy bundle; by default the policy that comes with the package."""
    robot: str = "anymal_c"
    """The robot."""
    task: Literal["walk"] = "walk"
    """The task."""
    engine: tuple[str, ...] = ("edges", "all")
    """nominal; edges: each factor of the gap at its ends; all: all factors at once; corners: all
    of them at ends; bullet: another engine; menagerie: the full public model; or an MJCF file."""
    episodes: int = 100
    """Episodes on each engine, and at each end of each factor."""
    seed: int = 12345
    """Of commands, factors and noise."""
    threads: int = 0
    """Threads; 0 takes all cores."""
    gap: str = "full"
    """The gap whose factors are tried: full, or a file of settings."""
    max_falls: float | None = None
    """Gate: share of episodes with a fall on the engines all and bullet, and on models; 0.05 unless
    told."""
    max_factor_falls: float | None = None
    """Gate: the same on the engine nominal and for each single factor, edges; 0.02 unless told."""
    max_error_ratio: float | None = None
    """Gate: velocity error over that on the engine nominal, but for edges; 1.5 unless told."""
    out: Path | None = None
    """Folder for figures, tornado plot and report."""
    json: Path | None = None
    """Write the figures to this file too; "-" or nothing is standard output."""

    def run(self) -> int:
        """Prints the tables."""
        from legged_skills import robots
        from legged_skills.sim2real.gap import load_gap
        from legged_skills.tasks import validate
        from legged_skills.tasks.validate_figures import Gates

        spec = robots.get(self.robot)
        gap = load_gap(self.gap, self.robot)
        if gap is None:
            raise SettingsError("gap is 'none', expected full or a file of settings.")
        if not self.engine:
            raise SettingsError("engine is empty, expected the name of one.")
        given = {
            name: getattr(self, name)
            for name in ("max_falls", "max_factor_falls", "max_error_ratio")
            if getattr(self, name) is not None
        }
        config = validate.ValidateConfig(
            episodes=self.episodes,
            seed=self.seed,
            threads=self.threads,
            gap=gap,
            gates=replace(Gates(), **given),
        )
        bundle = self._bundle()
        figures = validate.validate(bundle, spec, self.task, self.engine, config)
        validate.print_validation(figures)
        if self.out is not None:
            OUT.print(f"report: {validate.write_validation(figures, self.out)}")
        write_json(self.json, figures)
        return 0 if figures["passed"] else 1

    def _bundle(self) -> "Bundle":
        from legged_skills.sim2real.bundle import Bundle

        if self.bundle is not None:
            return Bundle.load(self.bundle, robot=self.robot, task=self.task)
        from legged_skills.tasks.export import policy_bundle

        return policy_bundle(load_policy(self.robot, self.task), timing(self.robot))


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Measure the speed of retargeting, simulation, training or a policy; or what faults lead to.

    Simulation and training are compared with bare MuJoCo. Faults are injected while a digital twin
    walks, over ROS 2; it ends with 1 if the bridge did anything else than documented.
    """

    what: Positional[Literal["retarget", "sim", "train", "runtime", "faults"]]
    """The whole way from files to clips on one core, environment steps, a whole training with its
    updates, a bundle's way from sensor values to joint targets, or what the bridge makes of
    faults."""
    files: Positional[tuple[Path, ...]] = ()
    """For retarget: motion capture files; by default the clips that come with the package."""
    envs: int = 512
    """Environments stepped together."""
    threads: int = 0
    """Threads of the physics; 0 takes all cores."""
    seconds: float = 15.0
    """How long to measure [s]."""
    gap: str = "none"
    """For sim and faults: what is between policy and physics: none, full, or a file of settings."""
    bundle: Path | None = None
    """For runtime and faults: policy bundle; by default the walking policy that comes with the
    package."""
    calls: int = 10_000
    """For runtime: calls to time."""
    times: int = 20
    """For faults: so many times each."""
    trial: UseAppendAction[tuple[str, ...]] = ()
    """For faults: only this one, such as "tilt"; may be given several times."""
    out: Path | None = None
    """For faults: folder for what twin and bridge print; by default one for temporary files."""
    robot: str = "anymal_c"
    """The robot."""
    json: Path | None = None
    """Write the figures to this file too; "-" or nothing is standard output."""

    def run(self) -> int:
        """Prints the rates."""
        from legged_skills import robots

        spec = robots.get(self.robot)
        require_positive(self, "seconds")
        require_at_least(self, threads=0)
        require_count(self, "envs", "calls", "times")
        if self.what == "retarget":
            from legged_skills.mocap.benchmark import benchmark_retarget

            figures = benchmark_retarget(spec, self.files, self.seconds)
            OUT.print(
                f"retarget: {figures['frames_per_second']:,.0f} frames/s, "
                f"{figures['frames']:,} frames in {figures['seconds']:.1f} s"
            )
            write_json(self.json, figures)
            return 0
        if self.what == "runtime":
            return self._runtime()
        if self.what == "faults":
            return self._faults()
        from legged_skills.tasks import benchmark

        clips = load_clips(None, self.robot)
        if self.what == "sim":
            figures = benchmark.benchmark_sim(
                spec, clips, self.envs, self.threads, self.seconds, self.gap
            )
        else:
            figures = benchmark.benchmark_train(spec, clips, self.envs, self.threads, self.seconds)
        OUT.print(
            f"{self.what}: {figures['steps_per_second']:,.0f} control steps/s, bare physics "
            f"{figures['bare_steps_per_second']:,.0f}, ratio {figures['ratio_to_bare']:.2f}"
        )
        if "ratio_to_clean" in figures:
            OUT.print(
                f"without the gap {figures['clean_steps_per_second']:,.0f} control steps/s, "
                f"ratio {figures['ratio_to_clean']:.2f}"
            )
        write_json(self.json, figures)
        return 0

    def _faults(self) -> int:
        from legged_skills.sim2real.bundle import Bundle
        from legged_skills.sim2real.ros.environment import free_domain, require_rclpy, settle
        from legged_skills.tasks.export import export_bytes

        require_rclpy()
        settle(free_domain(), localhost=True)
        from legged_skills.sim2real.ros.fault_trials import fault_trials

        out = Path(tempfile.mkdtemp()) if self.out is None else self.out.resolve()
        file = self.bundle or out / "bundle.onnx"
        if self.bundle is None:
            write_bytes(file, export_bytes(load_policy(self.robot, "walk"), timing(self.robot)))
        bundle = Bundle.load(file, robot=self.robot, task="walk")
        figures = fault_trials(bundle, file, out, self.times, self.gap, self.trial, say=OUT.print)
        OUT.print(
            f"{figures['targets']:,} targets on the robot's topic, {figures['bad_targets']} of "
            f"them not finite or out of range\noutput: {out}"
        )
        write_json(self.json, figures)
        return 0 if figures["passed"] else 1

    def _runtime(self) -> int:
        from legged_skills.sim2real.benchmark_runtime import benchmark_runtime
        from legged_skills.sim2real.bundle import Bundle

        if self.bundle is None:
            from legged_skills.tasks.export import policy_bundle

            bundle = policy_bundle(load_policy(self.robot, "walk"))
        else:
            bundle = Bundle.load(self.bundle, robot=self.robot)
        figures = benchmark_runtime(bundle, self.calls)
        OUT.print(
            f"runtime: median {figures['median_ms']:.3f} ms, 99th percentile "
            f"{figures['p99_ms']:.3f} ms, longest {figures['max_ms']:.3f} ms"
        )
        write_json(self.json, figures)
        return 0


def load_clips(where: Path | Sequence[Path] | None, robot: str) -> "list[RobotClip]":
    """The clips in these files and folders; without any, those that come with the package."""
    from legged_skills import robots
    from legged_skills.mocap import library

    spec = robots.get(robot)
    found = where or library.shipped_clips(robot)
    if not found:
        raise ClipError(f"no clips for {robot} come with the package.")
    return library.load_clips(found, spec)


def load_walking(where: Path | None, spec: "RobotSpec") -> "Walking | None":
    """What walks look like in these clips; without any, in those that come with the package.

    None if none of those walks.
    """
    from legged_skills.mocap.walking import Walking

    try:
        return Walking.of(spec, load_clips(where, spec.name))
    except ClipError:
        if where is not None:
            raise
        return None


def load_policy(robot: str, task: str, path: Path | None = None) -> "AnyPolicy":
    """A task policy from a file, by default the one that comes with the package."""
    from legged_skills import robots
    from legged_skills.tasks import evaluate_dribble, evaluate_walk
    from legged_skills.tasks.commander_file import load_any_policy

    robots.get(robot)
    shipped = {"walk": evaluate_walk.shipped_policy, "dribble": evaluate_dribble.shipped_policy}
    return load_any_policy(path or shipped[task](robot), robot=robot, task=task)


def load_getup(robot: str, path: Path | None = None) -> "GetupPolicy":
    """A policy that gets up from a file, by default the one that comes with the package."""
    from legged_skills import robots
    from legged_skills.tasks.getup_file import GetupPolicy, shipped_getup

    robots.get(robot)
    return GetupPolicy.load(path or shipped_getup(robot), robot=robot)


def recovering(policy: "AnyPolicy", getup: Path | None = None) -> "RecoveringPolicy":
    """A task policy that also gets up, by default as the package's own does."""
    from legged_skills.tasks.recovering import RecoveringPolicy

    return RecoveringPolicy(policy=policy, getup=load_getup(policy.robot, getup))


def timing(robot: str) -> dict[str, object]:
    """When things happen on a robot, for its bundles."""
    from dataclasses import asdict

    from legged_skills.sim2real.gap import GAPS

    return asdict(GAPS[robot].timing)
