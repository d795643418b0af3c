"""The command that measures getting up; ``cli.py`` puts all together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from legged_skills.robots.console import OUT, known, table, write_json
from legged_skills.tasks.evaluate_commands import Figures


@dataclass(frozen=True, kw_only=True)
class EvaluateGetup(Figures):
    """Measure how surely a robot gets up: from the floor, and after it fell while it walked."""

    robot: str = "op3"
    """The robot."""
    policy: Path | None = None
    """Policy that gets up; by default the one that comes with the package."""
    walk: Path | None = None
    """Walking policy that goes on afterwards; by default the one that comes with the package."""
    episodes: int = 200
    """Robots that lie on the floor, in poses of any kind; and as many that walk for 20 s."""
    seed: int = 12345
    """Of poses and commands, and of what the gap draws."""
    gap: str = "none"
    """What is between policy and physics: none, full, or a file of settings."""
    out: Path | None = None
    """Folder for films of a robot on its front, one on its back, and one that fell and walks on."""
    backend: Literal["auto", "gl", "raycast", "sketch"] = "sketch"
    """How the films' pictures are made: "sketch" is quick, the others as in "play"."""

    def run(self) -> int:
        """Prints the figures."""
        from legged_skills import robots
        from legged_skills.sim2real.gap import load_gap
        from legged_skills.tasks import evaluate_getup, getup_film
        from legged_skills.tasks.commands import load_getup, load_policy
        from legged_skills.tasks.recovering import RecoveringPolicy

        spec, gap = robots.get(self.robot), load_gap(self.gap, self.robot)
        config = evaluate_getup.GetupEvaluationConfig(episodes=self.episodes, seed=self.seed)
        getup = load_getup(self.robot, self.policy)
        walk = load_policy(self.robot, "walk", self.walk)
        run = evaluate_getup.get_up(spec, getup, config, gap=gap, keep=16)
        figures = evaluate_getup.summarize(run, config, spec.control_period_s)
        both = RecoveringPolicy(policy=walk, getup=getup)
        walked = evaluate_getup.walk_and_recover(spec, both, config, gap=gap, keep=16)
        figures["walking"] = evaluate_getup.summarize_recovery(
            walked, config, spec.control_period_s
        )
        _print(figures)
        write_json(self.json, figures)
        if self.out is not None:
            for path in getup_film.write_films(self.out, spec, run, walked, self.backend):
                OUT.print(f"wrote {path}")
        return 0


def _print(figures: Mapping[str, Any]) -> None:
    table(
        ["lying on its", "stands in time", "95 % interval", "median time s", "robots"],
        [
            [
                side["name"],
                f"{known(side['success_rate'], '.1%')}",
                " to ".join(known(end, ".1%") for end in side["success_rate_ci95"]),
                known(side["time_s"], ".2f"),
                str(side["episodes"]),
            ]
            for side in figures["sides"]
        ],
    )
    walking = figures["walking"]
    OUT.print(
        f"{figures['episodes']} robots on the floor: {figures['success_rate']:.1%} stand within "
        f"{figures['limit_s']:g} s. While walking: {walking['falls']} falls in "
        f"{walking['minutes']:.0f} min; {known(walking['recovered'], '.1%')} of those who fell "
        f"stood again in time; on their feet for {walking['upright_share']:.1%} of the time"
    )
