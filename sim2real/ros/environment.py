"""What must be settled before rclpy starts: whether it is there, and who may hear it."""

import importlib.util
import os
import sys

from legged_skills.robots.errors import SettingsError

MAX_DOMAIN_ID = 101
"""Above it, ports meet those that Linux gives to outgoing connections."""


def require_rclpy() -> None:
    """Checks that ROS 2 can be used from this Python.

    Raises:
        SettingsError: rclpy cannot be found.
    """
    if importlib.util.find_spec("rclpy") is None:
        raise SettingsError(
            f"rclpy is missing in {sys.executable}; source a ROS 2 installation of this Python, "
            "or install legged_skills[ros]."
        )


def settle(domain: int | None, localhost: bool = True) -> None:
    """Sets the environment of this process and of those that it starts.

    Args:
        domain: ROS_DOMAIN_ID; None leaves it as it is.
        localhost: whether only nodes on this computer are found.

    Raises:
        SettingsError: there is no such domain.
    """
    if domain is not None:
        if not 0 <= domain <= MAX_DOMAIN_ID:
            raise SettingsError(f"domain is {domain}, expected 0 to {MAX_DOMAIN_ID}.")
        os.environ["ROS_DOMAIN_ID"] = str(domain)
    if localhost:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
