"""Checks of settings that many have in common."""

from types import SimpleNamespace

import pytest

from legged_skills.robots.errors import SettingsError, require_at_least, require_share


def test_what_is_least_is_enough() -> None:
    require_at_least(SimpleNamespace(episodes=1, seed=0), episodes=1, seed=0)


@pytest.mark.parametrize("seconds", [0.9, float("nan")])
def test_what_is_less_or_no_number_is_refused_by_name(seconds: float) -> None:
    settings = SimpleNamespace(episodes=3, seconds=seconds)
    with pytest.raises(SettingsError, match=rf"^seconds is {seconds}, expected at least 1\.0\.$"):
        require_at_least(settings, episodes=1, seconds=1.0)


def test_a_share_is_less_than_the_whole() -> None:
    require_share(SimpleNamespace(none=0.0, most=0.999), "none", "most")
    for value in (-0.1, 1.0, float("nan")):
        message = rf"^kept is {value}, expected at least 0 and less than 1\.$"
        with pytest.raises(SettingsError, match=message):
            require_share(SimpleNamespace(kept=value), "kept")
