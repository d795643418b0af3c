"""A walk through latent space."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.sim2real.sensed_robot import SensedRobots
from legged_skills.skill_module import latent_walk
from legged_skills.skill_module.evaluate import ClipTrack
from legged_skills.skill_module.latent_walk import (
    LatentWalkConfig,
    blend,
    shares,
    slow_and_fast,
    walk_latents,
)
from legged_skills.skill_module.module_file import SkillModule

SPEC = robots.get("anymal_c")


def _track(name: str, steps: int, speed_mps: float = 0.0) -> ClipTrack:
    qpos = np.tile(SPEC.home_qpos, (steps, 1))
    qpos[:, 0] = 0.02 * speed_mps * np.arange(steps)
    return ClipTrack(
        name=name,
        frames=steps,
        tracked=steps,
        tracked_strictly=steps,
        qpos=qpos,
        reference_qpos=qpos,
        latents=np.ones((steps, 4), np.float32),
        kl=np.zeros((steps, 4)),
    )


def test_shares_wait_rise_and_wait() -> None:
    found = shares(LatentWalkConfig(hold_s=0.06, change_s=0.08), 0.02)
    np.testing.assert_allclose(found, [0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1])


def test_latents_go_along_an_arc() -> None:
    first, second = np.array([[2.0, 0.0]] * 3), np.array([[0.0, 2.0]] * 3)
    half = 2.0 * np.sqrt(0.5)
    wanted = [[2.0, 0.0], [half, half], [0.0, 2.0]]
    np.testing.assert_allclose(blend(first, second, np.array([0.0, 0.5, 1.0])), wanted, atol=1e-6)


def test_slowest_and_fastest_of_the_long_clips_are_chosen() -> None:
    tracks = [
        _track("short", 60, 5.0),
        _track("fast", 200, 1.0),
        _track("slow", 200, 0.1),
        _track("medium", 200, 0.5),
    ]
    assert slow_and_fast(tracks, 150, 0.02) == (2, 1)
    # Only one is long enough: the two longest.
    assert slow_and_fast([*tracks[:2], _track("none", 0)], 150, 0.02) == (1, 0)
    assert slow_and_fast(tracks[:1], 150, 0.02) == (0, 0)


def test_a_walk_ends_where_a_clip_was_lost(
    constant_module: Callable[[float], SkillModule],
) -> None:
    times = LatentWalkConfig(hold_s=0.4, change_s=0.4)
    tracks = (_track("a", 100), _track("b", 30))
    walk = walk_latents(SPEC, constant_module(0.0), tracks, times)
    assert walk.names == ("a", "b")
    # The first of its 30 latents led to the row where the walk starts.
    assert walk.qpos.shape == (29, 19) and walk.share.shape == (29,)
    assert walk.share[20] == 0.0 and walk.share[28] == 8 / 20
    assert walk.fallen_at == 29
    assert abs(walk.qpos[-1, 2] - SPEC.standing_height_m) < 0.05
    assert walk_latents(SPEC, constant_module(5.0), tracks, times).fallen_at < 29


def test_a_walk_starts_with_the_latent_decided_at_its_first_row(
    constant_module: Callable[[float], SkillModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def decode(agent, params, proprioception, z):
        used.append(float(z[0, 0]))
        return np.zeros((1, 12), np.float32)

    monkeypatch.setattr(latent_walk, "decode", decode)
    track = replace(_track("a", 10), latents=np.tile(np.arange(10.0)[:, None], (1, 4)))
    times = LatentWalkConfig(hold_s=0.04, change_s=0.0)
    walk_latents(SPEC, constant_module(0.0), (track, track), times)
    # Two steps with the one clip's latents, two with the other's.
    np.testing.assert_allclose(used, [1.0, 2.0, 3.0, 4.0], rtol=1e-6)


def test_a_walk_tells_its_first_fall(
    constant_module: Callable[[float], SkillModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    reset = SensedRobots.reset

    def lying(self: SensedRobots, ids: np.ndarray, qpos: np.ndarray, qvel: np.ndarray) -> None:
        qpos = np.array(qpos)
        # High enough for an upright robot, but on its side.
        qpos[3:7] = [np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0]
        reset(self, ids, qpos, qvel)

    monkeypatch.setattr(SensedRobots, "reset", lying)
    tracks, times = (_track("a", 30), _track("b", 30)), LatentWalkConfig(hold_s=0.1, change_s=0.1)
    assert walk_latents(SPEC, constant_module(0.0), tracks, times).fallen_at == 0


def test_a_walk_starts_with_the_speed_of_its_first_clip(
    constant_module: Callable[[float], SkillModule],
) -> None:
    times = LatentWalkConfig(hold_s=0.04, change_s=0.02)
    ahead = [
        walk_latents(
            SPEC, constant_module(0.0), (_track("a", 30, speed), _track("b", 30)), times
        ).qpos[0, 0]
        for speed in (0.0, 0.5)
    ]
    assert ahead[1] - ahead[0] == pytest.approx(0.5 * 0.02, abs=0.003)
