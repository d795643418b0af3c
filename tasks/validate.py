"""Runs a policy on other physics than it was trained on, and says whether it is fit for the robot.

The policy runs as on the robot, through bundle and runtime; no training code takes part. Every
engine gives it the same commands, so that differences between engines are due to the engines.
"""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import onnxruntime
from rich.console import Console

import legged_skills
from legged_skills.robots.console import OUT, known, table, write_bytes, write_json
from legged_skills.robots.cores import usable_cores
from legged_skills.robots.errors import (
    ContractError,
    SettingsError,
    require_at_least,
    require_count,
    require_seed,
)
from legged_skills.robots.spec import RobotSpec
from legged_skills.sim2real.bundle import Bundle
from legged_skills.sim2real.gap import GAPS, Gap
from legged_skills.sim2real.runtime import Runtime
from legged_skills.tasks.validate_engines import EDGES, Bench, make_jobs
from legged_skills.tasks.validate_figures import Gates, engine_figures, factor_text, missed_gates
from legged_skills.tasks.validate_run import run_jobs
from legged_skills.tasks.validate_walk import WalkTrial, WalkTrialConfig, draw_commands

TASKS = ("walk",)
"""Tasks that there is a test of."""
FIGURES_FILE, PLOT_FILE, REPORT_FILE = "validation.json", "tornado.png", "report.html"
"""What ``write_validation`` writes."""

_TABLE_FACTORS = 10
"""So many of the factors that hurt most are printed."""


@dataclass(frozen=True, kw_only=True)
class ValidateConfig:
    """How a policy is validated."""

    episodes: int = 100
    """Episodes on each engine, and for each end of each factor."""
    seed: int = 12345
    """Of commands, factors and noise."""
    threads: int = 0
    """Threads; 0 takes all cores. The figures do not depend on it."""
    gap: Gap | None = None
    """Timing, drives, sensors and ranges of the factors; by default the robot's own."""
    walk: WalkTrialConfig = field(default_factory=WalkTrialConfig)
    """The test of the walking task."""
    gates: Gates = field(default_factory=Gates)
    """What must be reached."""

    def __post_init__(self) -> None:
        """Checks what the command line offers.

        Raises:
            SettingsError: there are no episodes, or a number is out of its range.
        """
        require_count(self, "episodes")
        require_at_least(self, threads=0)
        require_seed(self)


def validate(
    bundle: Bundle,
    spec: RobotSpec,
    task: str,
    engines: Sequence[str],
    config: ValidateConfig,
    console: Console | None = None,
) -> dict[str, Any]:
    """Validates a policy.

    Args:
        bundle: the policy.
        spec: the robot.
        task: "walk".
        engines: see ``make_jobs``; the nominal engine is always run.
        config: all settings.
        console: where progress is shown; by default the error output.

    Returns:
        "engines": see ``engine_figures``; "models": what the physics of some engines is like;
        "passed"; "missed": a sentence for every gate that was missed; and what was run. But for
        "seconds" and "versions" the same arguments always give the same figures.

    Raises:
        ContractError: the bundle is for another robot or task.
        SettingsError: there is no such task or engine.
        FileFormatError: a model cannot be read, or is not of the robot.
    """
    began = time.perf_counter()
    if task not in TASKS:
        raise SettingsError(f"task is {task!r}, expected {', '.join(TASKS)}.")
    if bundle.task != task:
        raise ContractError(f"{bundle.name}: the policy's task is {bundle.task}, expected {task}.")
    bundle.require(spec)
    gap = config.gap or GAPS[spec.name]
    jobs = make_jobs(
        engines,
        Bench(
            spec=spec,
            contract=bundle.contract,
            gap=gap,
            episodes=config.episodes,
            seed=config.seed,
        ),
    )
    commands = draw_commands(bundle.header.command, config.walk, config.episodes, config.seed)
    result = run_jobs(
        jobs,
        spec,
        make_policy=lambda n: Runtime(bundle, n),
        make_trial=lambda groups: WalkTrial(spec, config.walk, np.tile(commands, (groups, 1, 1))),
        threads=config.threads or usable_cores(),
        console=console,
    )
    found = engine_figures(result, gap.ranges)
    missed = missed_gates(found, config.gates)
    return {
        "robot": spec.name,
        "task": task,
        "bundle": Path(bundle.name).name,
        "bundle_sha256": bundle.sha256,
        "passed": not missed,
        "missed": missed,
        "engines": found,
        "models": {job.groups[0].engine: dict(job.about) for job in jobs if job.about},
        "gates": asdict(config.gates),
        "episodes": config.episodes,
        "seed": config.seed,
        "test": asdict(config.walk) | {"commands": commands.shape[1]},
        "command": [asdict(component) for component in bundle.header.command],
        "gap": gap.to_json(),
        "seconds": time.perf_counter() - began,
        "versions": {
            "legged_skills": legged_skills.__version__,
            "mujoco": mujoco.__version__,
            "onnxruntime": onnxruntime.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def print_validation(figures: Mapping[str, Any]) -> None:
    """Prints a table of the engines, one of the factors that hurt most, and the gates missed."""
    engines = figures["engines"]
    table(
        ["engine", "falls", "95 %", "velocity error m/s", "over nominal", "energy"],
        [[_title(name, engine), *_cells(engine)] for name, engine in engines.items()],
    )
    if EDGES in engines:
        hardest = engines[EDGES]["factors"][:_TABLE_FACTORS]
        table(
            ["what hurts most", "falls", "95 %", "velocity error m/s", "over nominal", "energy"],
            [[factor_text(at), *_cells(at)] for at in hardest],
        )
    for sentence in figures["missed"]:
        OUT.print(f"missed: {sentence}")
    if not figures["missed"]:
        OUT.print("all gates passed")


def write_validation(figures: Mapping[str, Any], folder: Path) -> Path:
    """Writes figures, tornado plot and report into a folder, which is made if it is missing.

    The plot is there if single factors were tested.

    Returns:
        The report's path.

    Raises:
        FileFormatError: a file cannot be written.
    """
    from legged_skills.tasks.validate_plots import tornado
    from legged_skills.tasks.validate_report import write_report

    write_json(folder / FIGURES_FILE, figures)
    png = None
    if EDGES in figures["engines"]:
        png = tornado(figures["engines"], figures["gates"]["max_factor_falls"])
        write_bytes(folder / PLOT_FILE, png)
    write_report(folder / REPORT_FILE, figures, png)
    return folder / REPORT_FILE


def _title(name: str, engine: Mapping[str, Any]) -> str:
    return f"{name} (worst: {factor_text(engine['worst'])})" if name == EDGES else name


def _cells(at: Mapping[str, Any]) -> list[str]:
    low, high = at["falls_ci95"]
    return [
        f"{at['fall_rate']:.1%}",
        f"{low:.1%} to {high:.1%}",
        known(at["velocity_error_mps"], ".3f"),
        known(at["error_ratio"], ".2f"),
        known(at["energy_ratio"], ".2f"),
    ]
