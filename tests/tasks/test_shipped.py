"""What comes with the package: clips, skill modules and policies that do their work."""

from dataclasses import asdict

import numpy as np
import pytest

from legged_skills import robots
from legged_skills.mocap.library import HELD_OUT, load_clips, shipped_clips
from legged_skills.robots.contract import proprioception
from legged_skills.sim2real.gap import GAPS
from legged_skills.skill_module.evaluate import shipped_module, summarize, track_clips
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.tasks import evaluate_dribble, evaluate_walk
from legged_skills.tasks.commander_file import CommanderPolicy, load_any_policy
from legged_skills.tasks.evaluate_dribble import DribbleEvaluationConfig
from legged_skills.tasks.evaluate_getup import GetupEvaluationConfig, get_up
from legged_skills.tasks.evaluate_getup import summarize as summarize_getup
from legged_skills.tasks.getup_file import GetupPolicy, shipped_getup
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.search_getup import SearchConfig
from legged_skills.tasks.walk import WalkConfig

SPEC = robots.get("anymal_c")


@pytest.fixture(scope="module", params=["anymal_c", "op3"])
def robot(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def skills(robot: str) -> SkillModule:
    return SkillModule.load(shipped_module(robot), robot)


@pytest.fixture(scope="module")
def policy(robot: str) -> TaskPolicy:
    return TaskPolicy.load(evaluate_walk.shipped_policy(robot), robot, "walk")


def test_weights_were_trained_for_the_robot_as_it_is_now(robot, skills, policy):
    # How noisy sensors are thought to be changes nothing on the robot.
    contract = proprioception(robots.get(robot), skills.contract.history).without_noise()
    contract.require_same(skills.contract.without_noise(), "the shipped skill module")
    skills.contract.require_same(policy.contract, "the shipped walking policy")
    # Clips are named after their recording, with a number.
    recordings = {path.stem.rpartition("_")[0] for path in shipped_clips(robot)}
    assert {clip.rpartition("_")[0] for clip in skills.clips} <= recordings
    assert skills.summary["finished"] and skills.summary["tracker"]["steps"] > 5_000_000
    assert policy.summary["finished"]
    # What is held out was not trained on.
    held_out = set(HELD_OUT[robot])
    assert not held_out & {clip.rpartition("_")[0] for clip in skills.clips}


def test_walking_policy_moves_the_shipped_decoder(skills, policy):
    # It may have been trained before the encoder was trained further by itself.
    assert policy.summary["skills"] in (skills.summary, skills.summary["start"])
    kernel = policy.decoder.params["Dense_0"]["kernel"]
    np.testing.assert_array_equal(kernel, skills.params["decoder"]["Dense_0"]["kernel"])


def test_clips_are_tracked(robot, skills):
    clips = load_clips(shipped_clips(robot))
    short = sorted(clips, key=lambda clip: clip.num_frames)[:3]
    figures = summarize(track_clips(robots.get(robot), skills, short, num_threads=1))
    assert figures["tracked_share"] == 1.0
    assert figures["joint_error_rad"] < 0.12


COMMANDS = {
    "anymal_c": [[0.0, 0.0, 0.0], [0.8, 0.0, 0.0], [0.4, 0.2, 0.5], [-0.2, 0.0, -0.5]],
    "op3": [
        [0.0, 0.0, 0.0],
        [0.3, 0.0, 0.0],
        [0.4, 0.0, 0.0],
        [-0.1, 0.0, 0.0],
        [0.0, 0.1, 0.0],
        [0.0, 0.0, -0.7],
        [0.2, -0.05, 0.3],
    ],
}
WITHIN_MPS = {"anymal_c": 0.13, "op3": 0.06}
"""OP3's commands to the side and back are larger than this. In its first seconds it goes faster
than told where nobody pushes it."""
WITHIN_RADPS = {"anymal_c": 0.2, "op3": 0.25}
"""OP3 turns in the first seconds of going fast, before its integrator holds it."""


def test_walks_as_commanded(robot, policy):
    commands, spec = np.array(COMMANDS[robot]), robots.get(robot)
    run = evaluate_walk.walk_on_commands(spec, policy, commands[:, None], num_threads=1)
    assert not run.fell.any()
    error = np.abs(run.achieved[:, 0] - commands)
    assert error[:, :2].max() < WITHIN_MPS[robot]
    assert error[:, 2].max() < WITHIN_RADPS[robot]


def test_begins_to_walk_at_once_where_nothing_tells_left_from_right(robot, policy):
    vx = 0.5 * WalkConfig().paces(robot).vx_range[1]
    commands, spec = np.array([[[vx, 0.0, 0.0]]]), robots.get(robot)
    run = evaluate_walk.walk_on_commands(spec, policy, commands, 1.5, 0.5, num_threads=1)
    assert run.achieved[0, 0, 0] > 0.5 * vx


@pytest.mark.parametrize("robot", ["anymal_c"], indirect=True)
def test_who_diverged_fell_and_its_policy_begins_anew(policy, diverge, anew):
    diverge(5)
    begins = anew(evaluate_walk)
    commands = np.full((2, 1, 3), [0.5, 0.0, 0.0])
    run = evaluate_walk.walk_on_commands(SPEC, policy, commands, 0.4, 0.2, num_threads=1)
    np.testing.assert_array_equal(run.fallen_at, [5, 20])
    assert begins(0) == [0, 6] and begins(1) == [0]


@pytest.mark.parametrize("robot", ["anymal_c"], indirect=True)
def test_walks_under_the_full_gap(policy):
    commands = np.random.default_rng(0).uniform([-0.3, -0.3, -0.8], [1.0, 0.3, 0.8], (48, 1, 3))
    gap = GAPS["anymal_c"]
    run = evaluate_walk.walk_on_commands(SPEC, policy, commands, num_threads=1, gap=gap)
    assert run.fell.mean() <= 0.05
    error = np.linalg.norm(run.achieved[:, 0, :2] - commands[:, 0, :2], axis=1)
    # A command that a fall cut off was not carried out.
    assert np.nanmean(error) < 0.12  # [m/s]


@pytest.fixture(scope="module")
def dribbling() -> CommanderPolicy:
    policy = load_any_policy(evaluate_dribble.shipped_policy("anymal_c"), "anymal_c", "dribble")
    assert isinstance(policy, CommanderPolicy)
    return policy


def test_dribbling_was_trained_for_the_robot_as_it_is_now(robot):
    dribbling = load_any_policy(evaluate_dribble.shipped_policy(robot), robot, "dribble")
    assert dribbling.summary["finished"]
    contract = proprioception(robots.get(robot), dribbling.contract.history).without_noise()
    contract.require_same(dribbling.contract.without_noise(), "the shipped dribbling policy")


def test_the_ball_is_brought_along(dribbling):
    """Nominal: robots of all episodes differ in the headings of the targets only."""
    config = DribbleEvaluationConfig(episodes=8, episode_s=15.0)
    paths = ["straight", "slalom"] * 4
    run = evaluate_dribble.dribble_on_paths(SPEC, dribbling, paths, config, num_threads=1)
    assert not run.fell.any()
    # The targets go more than 7 m; a ball that nobody touches would be that far behind.
    late = run.distance[round(5.0 / SPEC.control_period_s) :]
    assert late.mean() < 1.5 and (late < 1.0).mean() > 0.4


@pytest.fixture(scope="module")
def getup() -> GetupPolicy:
    return GetupPolicy.load(shipped_getup("op3"), "op3")


def test_getting_up_was_trained_for_the_robot_as_it_is_now(getup):
    assert getup.summary["finished"] and getup.summary["search"] == asdict(SearchConfig())
    contract = proprioception(robots.get("op3"), getup.contract.history).without_noise()
    contract.require_same(getup.contract.without_noise(), "the shipped policy that gets up")


@pytest.mark.parametrize(("gap", "least"), [(None, 1.0), (GAPS["op3"], 0.9)])
def test_op3_gets_up(getup, gap, least):
    spec, config = robots.get("op3"), GetupEvaluationConfig(episodes=48)
    run = get_up(spec, getup, config, num_threads=1, gap=gap)
    figures = summarize_getup(run, config, spec.control_period_s)
    assert min(side["episodes"] for side in figures["sides"]) > 12
    assert figures["success_rate"] >= least
