import os
import socket

import pytest

from legged_skills.robots.errors import SettingsError
from legged_skills.sim2real.ros.environment import (
    MAX_DOMAIN_ID,
    free_domain,
    require_domain,
    settle,
)


def test_a_free_domain_is_one_that_nobody_listens_in():
    domain = free_domain()
    assert 1 <= domain <= MAX_DOMAIN_ID
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 7400 + 250 * domain))
        assert free_domain() != domain


def test_a_domain_of_nodes_that_hear_only_this_computer_is_not_free(ros, monkeypatch):
    import rclpy

    own = int(os.environ["ROS_DOMAIN_ID"])
    # The first that is looked at is that of these tests.
    monkeypatch.setattr(os, "getpid", lambda: own - 1)
    node = rclpy.create_node("somebody")
    try:
        assert free_domain() != own
    finally:
        node.destroy_node()


def test_environment_of_processes(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "5")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    monkeypatch.setenv("ROS_STATIC_PEERS", "192.168.0.7")
    settle(None, localhost=False)
    assert (os.environ["ROS_DOMAIN_ID"], os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"]) == (
        "5",
        "SUBNET",
    )
    assert os.environ["ROS_STATIC_PEERS"] == "192.168.0.7"
    settle(7)
    assert (os.environ["ROS_DOMAIN_ID"], os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"]) == (
        "7",
        "LOCALHOST",
    )
    assert "ROS_STATIC_PEERS" not in os.environ
    # That is all there is to it where there are none.
    settle(7)
    with pytest.raises(SettingsError, match="domain is 300"):
        settle(300)


@pytest.mark.parametrize("given", ["abc", "-1", "233", "5.0", "²"])
def test_a_domain_that_cannot_be_is_refused_with_a_sentence(monkeypatch, given):
    monkeypatch.setenv("ROS_DOMAIN_ID", given)
    for check in (require_domain, lambda: settle(None, localhost=False)):
        with pytest.raises(SettingsError, match=rf"ROS_DOMAIN_ID is '{given}', expected .* 232"):
            check()


@pytest.mark.parametrize("given", ["", "0", "232"])
def test_a_domain_that_can_be_is_not_refused(monkeypatch, given):
    monkeypatch.setenv("ROS_DOMAIN_ID", given)
    require_domain()
    monkeypatch.delenv("ROS_DOMAIN_ID")
    require_domain()
