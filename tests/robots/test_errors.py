"""Checks of settings that many have in common."""

from types import SimpleNamespace

import pytest

from legged_skills.robots.errors import (
    SettingsError,
    require_at_least,
    require_count,
    require_not_negative,
    require_seed,
    require_share,
    require_widths,
)


def test_what_is_least_is_enough() -> None:
    require_at_least(SimpleNamespace(episodes=1, seed=0), episodes=1, seed=0)


def test_as_many_as_a_machine_has_memory_for() -> None:
    require_count(SimpleNamespace(episodes=1, robots=1_000_000), "episodes", "robots")
    for count, expected in ((3, "at least 4"), (1_000_001, "at most 1000000")):
        with pytest.raises(SettingsError, match=rf"^plays is {count}, expected {expected}\.$"):
            require_count(SimpleNamespace(plays=count), "plays", least=4)


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


def test_what_is_not_negative_is_finite() -> None:
    require_not_negative(SimpleNamespace(none=0.0, much=1e30), "none", "much")
    for value in (-1e-9, float("nan"), float("inf")):
        message = rf"^cost is {value}, expected a finite number of at least 0\.$"
        with pytest.raises(SettingsError, match=message):
            require_not_negative(SimpleNamespace(cost=value), "cost")


def test_seeds_have_32_bits() -> None:
    require_seed(SimpleNamespace(seed=0))
    require_seed(SimpleNamespace(first=2**32 - 1), "first")
    with pytest.raises(SettingsError, match=r"^seed is -1, expected at least 0\.$"):
        require_seed(SimpleNamespace(seed=-1))
    with pytest.raises(
        SettingsError, match=r"^first is 4294967296, expected at most 4294967295\.$"
    ):
        require_seed(SimpleNamespace(first=2**32), "first")


def test_layers_have_widths() -> None:
    require_widths(SimpleNamespace(none=(), some=(1, 256)), "none", "some")
    with pytest.raises(SettingsError, match=r"^some is \(8, 0\), expected widths of at least 1\.$"):
        require_widths(SimpleNamespace(some=(8, 0)), "some")
