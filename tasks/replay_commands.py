"""The command ``replay``; ``legged_skills/cli.py`` puts all commands together."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from legged_skills.robots.console import OUT, write_bytes, write_json
from legged_skills.robots.errors import FileFormatError, SettingsError, require_ending

if TYPE_CHECKING:
    from legged_skills.sim2real.bundle import Bundle
    from legged_skills.sim2real.deploy.recorded_run import RecordedRun

_SAME = 1e-3
"""Targets of two implementations that differ by less are the same [rad]."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Decide a recorded deployment once more, and say where it comes out differently, if it does.

    Its sensor values go through the robot's runtime, and what the policy was told goes through
    training's path. Ends with 1 if there is a difference.
    """

    log: Positional[Path]
    """The log: its name without number and ".npz", one of its files, or the folder of a
    deployment."""
    bundle: Path | None = None
    """The policy bundle it was made with; by default it is looked for beside the log, and
    where it was then."""
    policy: Path | None = None
    """The task policy of the bundle, for training's path; by default the package's is tried."""
    getup: Path | None = None
    """The policy that gets up, of a bundle made with --recover; likewise."""
    plot: Path | None = None
    """Draw the run into this PNG file."""
    joint_log: Path | None = None
    """Write joint targets and positions to this file, for ``identify``: of a robot that hung."""
    json: Path | None = None
    """Write the figures to this file too; "-" or nothing is standard output."""

    def run(self) -> int:
        """Prints the first difference, or that there is none."""
        from legged_skills.sim2real.deploy.recorded_run import parts_of, read_run

        if self.joint_log is not None:
            require_ending(self.joint_log, "joint log", [".npz"])
        run = read_run(self.log / "log" if self.log.is_dir() else self.log)
        parts = [part.resolve() for part in parts_of(Path(run.source))]
        if self.joint_log is not None and self.joint_log.resolve() in parts:
            raise SettingsError(
                f"{self.joint_log}: is a part of the log, expected the name of another file."
            )
        if not len(run):
            raise FileFormatError(f"{run.source}: the log holds no step.")
        if self.plot is not None:
            from legged_skills.sim2real.deploy.plots import plot

            write_bytes(self.plot, plot(run))
            OUT.print(f"wrote {self.plot}")
        if self.joint_log is not None:
            from legged_skills.sim2real.deploy.differences import joint_log

            joint_log(run).write(self.joint_log)
            OUT.print(f"wrote {self.joint_log}")
        figures = self._compare(run)
        write_json(self.json, figures)
        return 1 if figures["first_difference"] or figures["training_differs"] else 0

    def _compare(self, run: "RecordedRun") -> dict[str, Any]:
        from legged_skills.sim2real.deploy.differences import compare

        bundle = self._bundle(run)
        if importlib.util.find_spec("jax") is None:
            found, training = compare(run, bundle), None
            OUT.print("training's path: not compared, JAX is not installed here")
        else:
            from legged_skills.tasks.replay import TracingRuntime, compare_training, policy_of

            runtime = TracingRuntime(bundle)
            found, training = compare(run, bundle, runtime), None
            policy = policy_of(run, self.policy, self.getup) if len(runtime) else None
            if policy is not None:
                training = compare_training(policy, runtime)
                OUT.print(
                    f"training's path: {len(runtime)} steps of the policy, targets at most "
                    f"{training[0]:.1e} rad apart (step {training[2]})"
                )
            else:
                why = "no policy of this bundle is given" if len(runtime) else "it never acted"
                OUT.print(f"training's path: not compared, {why}")
        OUT.print(
            f"runtime: first difference: {found.first}"
            if found.first
            else f"runtime: {found.steps} steps, no difference"
        )
        return {
            "steps": found.steps,
            "worst_rad": found.worst_rad,
            "first_difference": found.first,
            "training_worst_rad": None if training is None else training[0],
            "training_differs": training is not None and training[0] > _SAME,
        }

    def _bundle(self, run: "RecordedRun") -> "Bundle":
        """The bundle that is given, or the one with the checksum that the log names."""
        from legged_skills.sim2real.bundle import Bundle

        if self.bundle is not None:
            return Bundle.load(self.bundle)
        folder = Path(run.source).parent
        for path in (*sorted(folder.glob("*.onnx")), Path(str(run.header.get("bundle_file")))):
            try:
                bundle = Bundle.load(path)
            except FileFormatError:
                continue
            if bundle.sha256 == run.header["bundle"]:
                return bundle
        raise FileFormatError(
            f"{folder}: the bundle of {run.source} is not there, nor where it was then; "
            "expected it to be named by --bundle."
        )
