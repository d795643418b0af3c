"""The commands about the real robot; ``legged_skills/cli.py`` puts all commands together.

Each imports what it needs when it runs, so that ``--help`` is quick.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tyro.conf import Positional

from legged_skills.robots.console import OUT, table, write_bytes, write_json

if TYPE_CHECKING:
    from legged_skills.sim2real.identified import Identified
    from legged_skills.sim2real.simulated_log import DriveParameters

_FRICTION = (0.0075, 0.03)
"""Friction of simulated drives [shares of the torque limit]. The least is what OP3's model has; of
less, a minute of its noisy positions tells too little."""


@dataclass(frozen=True, kw_only=True)
class Identify:
    """Fit gains, friction, armature and delay of a robot's drives to a recording of them.

    The robot hangs or is held by its base with its feet in the air while it follows joint commands;
    --simulate makes such a recording of a simulated robot whose drives are drawn at random.
    """

    log: Positional[Path]
    """The recording (.npz): time, joint names, commands, positions."""
    robot: str = "anymal_c"
    """The robot."""
    out: Path | None = None
    """Write the drives to this JSON file, which the gap's settings can name as "fit"."""
    plot: Path | None = None
    """Draw measured and simulated positions into this PNG file."""
    simulate: float | None = None
    """Record a simulated robot for so long, write it to the log, a new file, and fit that [s]."""
    loads: bool = True
    """With --simulate: strap known weights on where the robot's own links are too light."""
    seed: int = 0
    """Of the simulated drives, commands and noise."""
    json: Path | None = None
    """Write the figures to this file too; "-" or nothing is standard output."""

    def run(self) -> int:
        """Prints a table of the joints."""
        from legged_skills import robots
        from legged_skills.robots.errors import FileFormatError, require_ending, require_seed
        from legged_skills.sim2real import identify as fitting
        from legged_skills.sim2real.joint_log import read_log
        from legged_skills.sim2real.simulated_log import random_drives, simulate_log

        spec = robots.get(self.robot)
        require_seed(self)
        true = None
        if self.simulate is not None:
            require_ending(self.log, "recording", [".npz"])
            if self.log.exists():
                raise FileFormatError(f"{self.log}: exists already, expected a new file to write.")
            share = spec.torque_limit.mean()
            true = random_drives(spec, self.seed, (_FRICTION[0] * share, _FRICTION[1] * share))
            loads = None if self.loads else ()
            simulate_log(spec, true, self.simulate, self.seed, loads=loads).write(self.log)
            OUT.print(f"wrote {self.log}: {self.simulate:g} s of a simulated {self.robot}")
        log = read_log(self.log)
        for load in log.loads:
            OUT.print(f"recorded with {load}")
        found = fitting.identify(log, spec)
        rows = fitting.table_rows(found)
        table(list(rows[0]), [list(row.values()) for row in rows])
        OUT.print(
            f"command delay {1e3 * found.command_delay_s:.2f} "
            f"+- {1e3 * found.command_delay_error_s:.2f} ms"
        )
        for note in found.notes:
            OUT.print(note)
        figures = found.to_json()
        if true is not None:
            figures["worst_errors"] = worst = _worst_errors(true, found)
            OUT.print("worst errors: " + ", ".join(f"{k} {v:.2g}" for k, v in worst.items()))
        if self.out is not None:
            found.save(self.out)
        if self.plot is not None:
            from legged_skills.sim2real.identify_plots import plot

            write_bytes(self.plot, plot(log, spec, found))
        write_json(self.json, figures)
        return 0


def _worst_errors(true: "DriveParameters", found: "Identified") -> dict[str, float]:
    """The greatest relative error of each parameter over the joints, and that of the delay [s]."""
    from legged_skills.sim2real.identified import PARAMETERS

    worst = {
        name: float(np.abs(getattr(found, name) / getattr(true, name) - 1.0).max())
        for name in PARAMETERS
    }
    return worst | {"command_delay_s": abs(found.command_delay_s - true.command_delay_s)}
