"""What must be settled before rclpy starts: whether it is there, and who may hear it."""

import importlib.util
import os
import socket
import sys

from legged_skills.robots.errors import SettingsError

MAX_DOMAIN_ID = 101
"""Above it, ports meet those that Linux gives to outgoing connections."""
# DDS-RTPS 9.6.1.1: domain d begins with port 7400 + 250 d, for multicasts; participant p of a
# computer hears of others on the port that is 10 + 2 p behind it.
_FIRST_PORT, _PORTS_OF_DOMAIN = 7400, 250
_PARTICIPANTS = 32
_LAST_DOMAIN_ID = 232
"""Ports of those above it would be beyond the last one that there is."""


def require_rclpy() -> None:
    """Checks that ROS 2 can be used from this Python.

    Raises:
        SettingsError: rclpy cannot be found.
    """
    if importlib.util.find_spec("rclpy") is None:
        raise SettingsError(
            f"rclpy is missing in {sys.executable}; source a ROS 2 installation of this Python, "
            "or run pip install '.[ros]' in a checkout of legged_skills."
        )


def require_domain() -> None:
    """Checks the environment's ROS_DOMAIN_ID, if it has one.

    Raises:
        SettingsError: there is no such domain.
    """
    given = os.environ.get("ROS_DOMAIN_ID", "")
    if given and not (given.isascii() and given.isdigit() and int(given) <= _LAST_DOMAIN_ID):
        raise SettingsError(
            f"ROS_DOMAIN_ID is {given!r}, expected a number from 0 to {_LAST_DOMAIN_ID}."
        )


def free_domain() -> int:
    """A ROS_DOMAIN_ID that nobody on this computer uses now.

    The ports on which one hears of others tell: participants that hear only this computer have
    none for multicasts.

    Raises:
        SettingsError: all are in use.
    """
    first = os.getpid()
    for step in range(MAX_DOMAIN_ID):
        domain = 1 + (first + step) % MAX_DOMAIN_ID
        port = _FIRST_PORT + _PORTS_OF_DOMAIN * domain
        if all(_free(port + behind) for behind in (0, *range(10, 10 + 2 * _PARTICIPANTS, 2))):
            return domain
    raise SettingsError(f"all domains from 1 to {MAX_DOMAIN_ID} are in use on this computer.")


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def settle(domain: int | None, localhost: bool = True) -> None:
    """Sets the environment of this process and of those that it starts.

    Args:
        domain: ROS_DOMAIN_ID; None leaves it as it is, and checks it.
        localhost: whether only nodes on this computer are found.

    Raises:
        SettingsError: there is no such domain.
    """
    if domain is not None:
        if not 0 <= domain <= MAX_DOMAIN_ID:
            raise SettingsError(f"domain is {domain}, expected 0 to {MAX_DOMAIN_ID}.")
        os.environ["ROS_DOMAIN_ID"] = str(domain)
    else:
        require_domain()
    if localhost:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        # These would be found besides.
        os.environ.pop("ROS_STATIC_PEERS", None)
