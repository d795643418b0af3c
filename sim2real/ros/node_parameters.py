"""ROS parameters made of settings that describe themselves; needs rclpy."""

import difflib
from collections.abc import Sequence
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.deploy.parameters import Parameter, parameters, replaced

Config = TypeVar("Config")


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """Description, unit, range and choices. All are read-only: they are what a node starts with."""
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    made = ParameterDescriptor(
        name=parameter.name,
        description=parameter.description[:-1] + unit + ".",
        read_only=True,
    )
    if parameter.choices:
        made.additional_constraints = "One of: " + ", ".join(parameter.choices) + "."
    if parameter.low is not None and parameter.high is not None:
        if isinstance(parameter.default, float):
            made.floating_point_range = [
                FloatingPointRange(from_value=parameter.low, to_value=parameter.high)
            ]
        elif isinstance(parameter.default, int):
            made.integer_range = [
                IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high))
            ]
    return made


def require_known(node: Node) -> None:
    """Checks that all parameters that a node was started with are its own.

    To be called when all are declared. A misspelt limit would be one that does not hold.

    Raises:
        SettingsError: there is one of another name.
    """
    given = node._parameter_overrides  # pyright: ignore[reportPrivateUsage]
    for name in given:
        if not node.has_parameter(name) and not name.startswith("qos_overrides."):
            known = sorted(node._parameters)  # pyright: ignore[reportPrivateUsage]
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise SettingsError(f"there is no parameter {name}; did you mean {near[0]}?")


def declare(node: Node, config: Config, leave_out: Sequence[str] = ()) -> Config:
    """Declares a settings object's fields as parameters of a node.

    Args:
        node: gets the parameters.
        config: the defaults.
        leave_out: fields that are no parameters.

    Returns:
        The settings with what the node was started with.

    Raises:
        SettingsError: a value is of the wrong type, out of its range, or no choice.
    """
    values: dict[str, Any] = {}
    for parameter in parameters(config):
        if parameter.name in leave_out:
            continue
        default = parameter.default
        default = list(default) if isinstance(default, tuple) else default
        try:
            declared = node.declare_parameter(parameter.name, default, descriptor(parameter))
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            text = " ".join(str(error).split()).rstrip(".")
            raise SettingsError(
                f"the parameter {parameter.name} cannot be used ({text})."
            ) from error
        value: Any = declared.value
        if value is None:
            # What a file's empty list becomes.
            raise SettingsError(f"the parameter {parameter.name} is empty, expected {default!r}.")
        # Arrays are of a kind of their own.
        values[parameter.name] = list(value) if isinstance(default, list) else value
    return replaced(config, values)
