"""The command that measures dribbling; ``cli.py`` puts all together."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from legged_skills.robots.console import OUT, table, write_bytes, write_json
from legged_skills.tasks.evaluate_commands import Figures

if TYPE_CHECKING:
    from legged_skills.robots.spec import RobotSpec
    from legged_skills.tasks.evaluate_dribble import DribbleEpisodes


@dataclass(frozen=True, kw_only=True)
class EvaluateDribble(Figures):
    """Measure how long a dribbling policy keeps the ball near moving targets.

    They go straight, in a slalom, around a square, and in jumps.
    """

    policy: Path | None = None
    """Dribbling policy; by default the one that comes with the package."""
    episodes: int = 200
    """Episodes of 20 s, spread over the four kinds of ways."""
    seed: int = 12345
    """Of the ways, and of what the gap draws."""
    gap: str = "none"
    """What is between policy and physics: none, full, or a file of settings."""
    out: Path | None = None
    """Folder for a plot of the ways from above, and a film of an episode of each kind."""
    backend: Literal["auto", "gl", "raycast", "sketch"] = "sketch"
    """How the film's pictures are made: "sketch" is quick, the others as in "play"."""

    def run(self) -> int:
        """Prints a table of the ways."""
        from legged_skills import robots
        from legged_skills.sim2real.ball_gap import BALL_GAPS
        from legged_skills.sim2real.gap import load_gap
        from legged_skills.tasks import evaluate_dribble
        from legged_skills.tasks.commands import load_policy

        spec = robots.get(self.robot)
        policy = load_policy(self.robot, "dribble", self.policy)
        config = evaluate_dribble.DribbleEvaluationConfig(episodes=self.episodes, seed=self.seed)
        gap = load_gap(self.gap, self.robot, BALL_GAPS)
        figures, run = evaluate_dribble.evaluate_dribble(spec, policy, config, gap=gap)
        table(
            ["way", "near the target", "95 % interval", "mean distance m", "falls"],
            [
                [
                    part["name"],
                    f"{part['time_near_target']:.1%}",
                    f"{part['ci95'][0]:.1%} to {part['ci95'][1]:.1%}",
                    f"{part['distance_m']:.2f}",
                    f"{part['fall_rate']:.1%}",
                ]
                for part in figures["paths"]
            ],
        )
        share, near_m = figures["time_near_target"], figures["near_m"]
        OUT.print(
            f"{figures['episodes']} episodes, targets at {figures['target_speed_mps']:g} m/s: ball "
            f"within {near_m:g} m for {share:.1%} of the time on the worst kind of way, "
            f"mean distance {figures['distance_m']:.2f} m, falls {figures['fall_rate']:.1%}"
        )
        write_json(self.json, figures)
        if self.out is not None:
            self._draw(spec, run, self.out)
        return 0

    def _draw(self, spec: "RobotSpec", run: "DribbleEpisodes", out: Path) -> None:
        """Writes the plot and the film."""
        from legged_skills.tasks import dribble_film, film
        from legged_skills.tasks.stages import Stages

        plot, video = out / "paths.png", out / "dribble.mp4"
        write_bytes(plot, dribble_film.paths_from_above(run))
        kept = range(run.qpos.shape[1])
        scenes = [dribble_film.dribbling_scene(spec, run, episode) for episode in kept]
        settings = film.FilmSettings(backend=self.backend)
        with Stages() as stages, stages.stage("making the film", "film") as advance:
            film.write_film(video, scenes, settings, advance)
        OUT.print(f"wrote {plot} and {video}")
