"""Parameter files of the bridge, written from its settings; no rclpy here.

python -m legged_skills.sim2real.ros.parameter_files launch/params
"""

import sys
from pathlib import Path

from legged_skills.robots.files import write_text
from legged_skills.sim2real.deploy.config import config_of
from legged_skills.sim2real.deploy.guards import DESCRIPTIONS, SILENCING, WARNINGS, WITHIN
from legged_skills.sim2real.deploy.parameters import Parameter, Value, parameters
from legged_skills.sim2real.ros.bridge_config import BRIDGES, bridge_config_of
from legged_skills.sim2real.ros.topics import BRIDGE_NODE

MODULE = "legged_skills.sim2real.ros.parameter_files"
"""This module."""
LAUNCHED = ("bundle", "dry_run", "log", "figures")
"""Parameters that are arguments of the launch files, and so in no file."""


def table(robot: str) -> tuple[Parameter, ...]:
    """All parameters of a robot's bridge, in order, with its defaults.

    Raises:
        SettingsError: there are no settings of it.
    """
    both = (*parameters(config_of(robot)), *parameters(bridge_config_of(robot)))
    return tuple(parameter for parameter in both if parameter.name not in LAUNCHED)


def text(robot: str) -> str:
    """The YAML file of a robot's bridge, each parameter with what it means.

    Raises:
        SettingsError: there are no settings of it.
    """
    lines = [
        f"# Parameters of the bridge of {robot}, as they are without this file.",
        f"# Written by python -m {MODULE}.",
        # In any namespace.
        f"/**/{BRIDGE_NODE}:",
        "  ros__parameters:",
    ]
    for parameter in table(robot):
        lines.append(f"    # {_about(parameter)}")
        lines.append(f"    {parameter.name}: {_yaml(parameter.default)}")
    return "\n".join(lines) + "\n"


def parameter_table() -> str:
    """All parameters with both robots' defaults as a table in Markdown, for the documentation."""
    robots = list(BRIDGES)
    tables = [table(robot) for robot in robots]
    lines = [
        f"| parameter | {' | '.join(robots)} | unit | range | |",
        "|---" * (4 + len(robots)) + "|",
    ]
    for row in zip(*tables, strict=True):
        first = row[0]
        numbers = first.low is not None and first.high is not None
        extent = f"{first.low:g} to {first.high:g}" if numbers else ", ".join(first.choices)
        defaults = [_short(parameter.default) for parameter in row]
        cells = [f"`{first.name}`", *defaults, first.unit, extent, first.description]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def fault_table() -> str:
    """All kinds of faults as a table in Markdown, for the documentation."""
    lines = ["| fault | when | within | then |", "|---|---|---|---|"]
    for code, description in DESCRIPTIONS.items():
        then = "holds or lets go (`fault_behaviour`)"
        if code in SILENCING:
            then = "publishes nothing any more"
        elif code in WARNINGS:
            then = "goes on"
        name, extra_s = WITHIN[code]
        within = f"{name} + {extra_s:g} s" if name else f"{extra_s:g} s"
        lines.append(f"| `{code.value}` | {description} | {within} | {then} |")
    return "\n".join(lines)


def _short(value: Value) -> str:
    if isinstance(value, tuple) and len(value) > 4:
        return "one for each joint"
    return _yaml(value).replace("|", "/") or "-"


def _about(parameter: Parameter) -> str:
    about = parameter.description
    if parameter.unit:
        about = f"{about[:-1]} [{parameter.unit}]."
    if parameter.choices:
        return f"{about} One of: {', '.join(parameter.choices)}."
    if parameter.low is not None and parameter.high is not None:
        return f"{about} {parameter.low:g} to {parameter.high:g}."
    return about


def _yaml(value: Value) -> str:
    """A value whose type YAML cannot mistake: numbers with a point are fractions."""
    if isinstance(value, tuple):
        return "[" + ", ".join(_yaml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def main(folder: str) -> None:
    """Writes the file of each robot."""
    for robot in BRIDGES:
        write_text(Path(folder) / f"{robot}.yaml", text(robot))


if __name__ == "__main__":
    main(sys.argv[1])
