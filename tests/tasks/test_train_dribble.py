"""From training to bundle, film and figures, with an untrained skill module."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.errors import ContractError, FileFormatError, SettingsError
from legged_skills.robots.intervals import wilson
from legged_skills.sim2real import ranges
from legged_skills.sim2real.ball_gap import BALL_GAPS
from legged_skills.sim2real.raw_frame import term_slices
from legged_skills.sim2real.runtime import Runtime
from legged_skills.skill_module.distil import TeachingConfig
from legged_skills.skill_module.module_file import SkillModule
from legged_skills.skill_module.ppo import PpoConfig
from legged_skills.skill_module.rollout import act
from legged_skills.skill_module.training import RunConfig
from legged_skills.tasks import dribble_film, evaluate_dribble, film
from legged_skills.tasks.chase import CHASES
from legged_skills.tasks.commander import CommanderArchitecture
from legged_skills.tasks.commander_file import CommanderPolicy, load_any_policy
from legged_skills.tasks.dribble_config import SIZES, DribbleConfig, task_scale
from legged_skills.tasks.evaluate_dribble import (
    DribbleEpisodes,
    DribbleEvaluationConfig,
    dribble_on_paths,
    summarize,
)
from legged_skills.tasks.export import export_bytes, policy_bundle
from legged_skills.tasks.learn_chase import ChaseConfig
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.reuse import PolicyArchitecture
from legged_skills.tasks.target_paths import PATHS
from legged_skills.tasks.train_dribble import DribbleTrainingConfig, train_dribble
from legged_skills.tasks.train_walk import WalkTrainingConfig, train_walk

SPEC = robots.get("anymal_c")
CONFIG = DribbleTrainingConfig(
    run=RunConfig(total_steps=4 * 6 * 8, num_envs=8, num_threads=1),
    ppo=PpoConfig(steps=6, epochs=1, minibatches=2),
    architecture=PolicyArchitecture(policy_hidden=(16,), critic_hidden=(16,)),
    gap="none",
)
SHORT = DribbleEvaluationConfig(episodes=4, episode_s=0.4, skip_s=0.1)


@pytest.fixture(scope="module")
def run_folder(still_module: SkillModule, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dribble")
    with jax.numpy_dtype_promotion("standard"):
        result = train_dribble(SPEC, still_module, CONFIG, out)
    # Targets begin within half a metre of the ball, and are hardly gone yet.
    assert result.finished and result.figures["ball_distance_m"] < 0.5
    return out


@pytest.fixture(scope="module")
def trained(run_folder: Path) -> TaskPolicy:
    return TaskPolicy.load(run_folder / "dribble.npz", "anymal_c", "dribble")


def test_a_run_with_other_settings_is_not_gone_on_with(still_module, run_folder):
    other = dataclasses.replace(CONFIG, dribble=DribbleConfig(kernel_m=0.5))
    with pytest.raises(ContractError, match="checkpoint's dribble is kernel_m"):
        train_dribble(SPEC, still_module, other, run_folder)


def test_the_policy_knows_its_sizes(trained):
    assert trained.task_size == 7
    assert trained.config["kernel_m"] == 1.0 and trained.config["range_m"] == 6.0
    assert trained.summary["ppo"]["steps"] == 6
    assert DribbleTrainingConfig().ppo.kl_weight == 1e-2


def test_bundles_do_what_the_policy_does(trained):
    bundle = policy_bundle(trained)
    header = bundle.header
    assert (header.task, header.command_name) == ("dribble", "ball_and_target")
    names = ["ball_x", "ball_y", "ball_vx", "ball_vy", "ball_age", "target_x", "target_y"]
    assert [component.name for component in header.command] == names
    assert [c.unit for c in header.command] == ["m", "m", "m/s", "m/s", "s", "m", "m"]
    assert (header.command[0].low, header.command[0].high) == (-6.0, 6.0)
    assert (header.command[4].low, header.command[4].high) == (0.0, 2.0)
    assert header.rest is None
    runtime = Runtime(bundle)
    runtime.signals["gravity"][:] = [0.0, 0.0, -1.0]
    runtime.signals["joint_pos"][:] = SPEC.default_joint_pos
    told = np.array([[1.2, -0.4, 0.3, 0.1, 0.05, -2.0, 1.0]], np.float32)
    runtime.command[:] = told
    runtime.step()
    obs = {
        "proprioception": np.tile(
            trained.contract.frame(
                {
                    "gravity": np.array([[0.0, 0.0, -1.0]], np.float32),
                    "angular_velocity": np.zeros((1, 3), np.float32),
                    "joint_pos": SPEC.default_joint_pos[None].astype(np.float32),
                    "joint_vel": np.zeros((1, 12), np.float32),
                    "last_action": np.zeros((1, 12), np.float32),
                }
            ),
            trained.contract.history,
        ),
        "task": told * task_scale(SIZES["anymal_c"]),
    }
    z = np.zeros((1, 7), np.float32)
    decision = act(trained.agent, trained.params, obs, z, jax.random.key(0), deterministic=True)
    np.testing.assert_allclose(runtime.z, decision.z, atol=1e-5)
    with pytest.raises(SettingsError, match="known tasks: walk, dribble"):
        export_bytes(dataclasses.replace(trained, task="juggle"))


def test_summary_by_hand():
    steps, spread = 1000, np.zeros((1000, 4, 2))
    # Balls 0.4, 1.6 and 0.4 m from targets at rest; the third robot falls after 10 s.
    spread[:, :, 0] = [0.4, 1.6, 0.4, 0.4]
    spread[500:, 0, 0] = 1.6
    run = DribbleEpisodes(
        paths=("straight", "straight", "jumps", "jumps"),
        robot_w=np.zeros((steps, 4, 2)),
        ball_w=spread,
        target_w=np.zeros((steps, 4, 2)),
        fallen_at=np.array([steps, steps, 500, steps]),
        qpos=np.zeros((steps, 1, 26)),
    )
    figures = summarize(SPEC, run, skip_s=5.0)
    # Of 750 counted steps each: 250 and none on the straight; 250 and all with the jumps.
    shares = {part["name"]: part["time_near_target"] for part in figures["paths"]}
    assert shares == pytest.approx({"straight": 1 / 6, "jumps": 2 / 3})
    assert figures["time_near_target"] == pytest.approx(1 / 6)
    assert figures["near_m"] == 1.0 and figures["target_speed_mps"] == 0.5
    assert figures["fall_rate"] == 0.25 and figures["episodes"] == 4
    straight, jumps = figures["paths"]
    assert straight["distance_m"] == pytest.approx((0.4 * 250 + 1.6 * 500 + 1.6 * 750) / 1500)
    assert jumps["distance_m"] == pytest.approx(0.4) and jumps["fall_rate"] == 0.5
    # Two episodes of 1/3 and 1 say nothing of their mean: 12.7 times 0.4714 / 2^0.5.
    assert jumps["ci95"] == [0.0, 1.0]
    # Ten times the same: Student's t is 2.093 for 19 degrees of freedom.
    many = dataclasses.replace(
        run,
        **{"paths": 10 * run.paths, "fallen_at": np.tile(run.fallen_at, 10)},
        **{n: np.tile(getattr(run, n), (1, 10, 1)) for n in ("robot_w", "ball_w", "target_w")},
    )
    jumps = summarize(SPEC, many, skip_s=5.0)["paths"][1]
    half = 2.093 * (1 / 3) * (20 / 19) ** 0.5 / 20**0.5
    assert jumps["ci95"] == pytest.approx([2 / 3 - half, 2 / 3 + half], abs=1e-3)


def test_figures_of_all_ways_by_hand():
    steps, ball = 1000, np.zeros((1000, 3, 2))
    # 0.3, 0.6 and 0.9 m off, but 5 m where nothing counts: at first, and after a fall.
    ball[..., 1] = [0.3, 0.6, 0.9]
    ball[:250] = ball[400:, 2] = 5.0
    run = DribbleEpisodes(
        paths=("straight", "slalom", "square"),
        robot_w=np.zeros((steps, 3, 2)),
        ball_w=ball,
        target_w=np.zeros((steps, 3, 2)),
        fallen_at=np.array([steps, steps, 400]),
        qpos=np.zeros((steps, 1, 26)),
    )
    figures = summarize(SPEC, run, skip_s=5.0)
    assert figures["distance_m"] == pytest.approx((750 * 0.3 + 750 * 0.6 + 150 * 0.9) / 1650)
    assert figures["falls_ci95"] == list(wilson(1, 3))
    assert [part["falls_ci95"] for part in figures["paths"]] == [
        list(wilson(fell, 1)) for fell in (0, 0, 1)
    ]
    assert [part["time_near_target"] for part in figures["paths"]] == [1.0, 1.0, 0.2]


def test_episodes_start_with_the_ball_ahead_and_are_deterministic(trained):
    runs = [dribble_on_paths(SPEC, trained, PATHS, SHORT, 2, 1) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].qpos, runs[1].qpos)
    run = runs[0]
    assert run.qpos.shape == (20, 2, 26) and run.ball_w.shape == (20, 4, 2)
    np.testing.assert_allclose(run.ball_w[0], [[0.8, 0.0]] * 4, atol=1e-3)
    np.testing.assert_allclose(run.qpos[:, :, 19:21], run.ball_w[:, :2])
    # The first step of 0.5 m/s, but for the target that jumps, within 0.5 rad of ahead.
    moved = run.target_w[0] - [0.8, 0.0]
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), [0.01, 0.01, 0.01, 0.0], atol=1e-9)
    assert moved[0, 0] >= 0.01 * np.cos(0.5)


def test_who_diverged_fell_and_its_policy_begins_anew(trained, diverge, anew):
    diverge(5)
    begins = anew(evaluate_dribble)
    run = dribble_on_paths(SPEC, trained, PATHS[:2], SHORT, 1, 1)
    np.testing.assert_array_equal(run.fallen_at, [5, 20])
    assert begins(0) == [0, 6] and begins(1) == [0]


def test_every_robot_has_factors_of_its_own(trained, monkeypatch):
    given = []

    def draw(*arguments):
        given.append(real(*arguments))
        return given[-1]

    real = ranges.draw
    monkeypatch.setattr(ranges, "draw", draw)
    config = dataclasses.replace(SHORT, episode_s=0.02)
    dribble_on_paths(SPEC, trained, PATHS, config, 1, 1, BALL_GAPS["anymal_c"])
    assert len(given[-1]["ball_mass"]) == 4 == len(set(given[-1]["ball_mass"][:, 0]))


def test_film_and_plot(trained):
    run = dribble_on_paths(SPEC, trained, PATHS[:2], SHORT, 1, 1)
    scene = dribble_film.dribbling_scene(SPEC, run)
    model, states = scene.pose()
    assert states.shape == (20, model.nq)
    settings = film.FilmSettings(size=(160, 96), backend="sketch")
    frames = list(film.render_scene(scene, settings))
    assert len(frames) == 10
    bare = dataclasses.replace(scene, overlay=lambda frame, camera, row: frame)
    orange = [_orange(frame) for frame in film.render_scene(bare, settings)]
    assert min(orange) > 20
    assert dribble_film.paths_from_above(run).startswith(b"\x89PNG")


def _orange(frame: np.ndarray) -> int:
    """Pixels that look like the ball."""
    red, green, blue = frame.astype(int).transpose(2, 0, 1)
    return int(((red > green + 40) & (green > blue + 40)).sum())


@pytest.mark.parametrize(("name", "value"), [("episodes", 3), ("seed", -1)])
def test_unusable_evaluations(name: str, value: int):
    with pytest.raises(SettingsError, match=f"{name} is {value}, expected at least"):
        DribbleEvaluationConfig(**{name: value})


@pytest.fixture(scope="module")
def commanding(still_module: SkillModule, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dribbling that commands a walk, which is untrained."""
    out = tmp_path_factory.mktemp("commander")
    with jax.numpy_dtype_promotion("standard"):
        walk = WalkTrainingConfig(
            run=CONFIG.run,
            ppo=CONFIG.ppo,
            architecture=dataclasses.replace(CONFIG.architecture, trim_steps=60.0),
            gap="none",
        )
        train_walk(SPEC, still_module, walk, out)
        start = TaskPolicy.load(out / "walk.npz", "anymal_c", "walk")
        learner = TeachingConfig(steps=6, epochs=4, minibatches=2, learning_rate=1e-2)
        config = dataclasses.replace(
            CONFIG,
            chase=ChaseConfig(steps=12 * 6 * 8, learner=learner),
            commander=CommanderArchitecture(policy_hidden=(16,), critic_hidden=(16,)),
        )
        result = train_dribble(SPEC, still_module, config, out / "dribble", start)
    assert result.finished
    return out


def test_commanders_begin_by_chasing(commanding: Path) -> None:
    lines = (commanding / "dribble" / "chase" / "progress.jsonl").read_text().splitlines()
    errors = [json.loads(line)["latent_error"] for line in lines]
    assert len(errors) == 12 and errors[-1] < 0.9 * max(errors)
    (only,) = (commanding / "dribble" / "progress.jsonl").read_text().splitlines()
    assert json.loads(only)["steps"] == 48 and json.loads(only)["policy_share"] == 0.0


def test_commanders_come_back_from_their_file(commanding: Path) -> None:
    path = commanding / "dribble" / "dribble.npz"
    policy = load_any_policy(path, "anymal_c", "dribble")
    assert isinstance(policy, CommanderPolicy) and policy.walk.task == "walk"
    # What it learned first is told, too: 12 iterations of 48 steps.
    assert policy.summary["steps"] == 48 and policy.summary["chase"]["steps"] == 12 * 48
    assert policy.summary["rules"] == dataclasses.asdict(CHASES["anymal_c"])
    walk = TaskPolicy.load(commanding / "walk.npz")
    np.testing.assert_array_equal(
        policy.walk.params["policy"]["Dense_0"]["kernel"],
        walk.params["policy"]["Dense_0"]["kernel"],
    )
    assert isinstance(load_any_policy(commanding / "walk.npz"), TaskPolicy)
    with pytest.raises(ContractError, match="task is dribble, expected walk"):
        load_any_policy(path, "anymal_c", "walk")
    with pytest.raises(FileFormatError, match="expected a task policy, found a commander"):
        TaskPolicy.load(path)


def test_commanders_are_gone_on_with(still_module: SkillModule, commanding: Path, tmp_path) -> None:
    begun = load_any_policy(commanding / "dribble" / "dribble.npz")
    assert isinstance(begun, CommanderPolicy)
    # With steps of no size, it stays what it was.
    ppo = dataclasses.replace(CONFIG.ppo, learning_rate=0.0, min_learning_rate=0.0)
    config = dataclasses.replace(CONFIG, ppo=ppo, commander=begun.architecture)
    with jax.numpy_dtype_promotion("standard"):
        assert train_dribble(SPEC, still_module, config, tmp_path, begun).finished
    assert not (tmp_path / "chase").exists()
    policy = load_any_policy(tmp_path / "dribble.npz", "anymal_c", "dribble")
    assert isinstance(policy, CommanderPolicy)
    kernel, before = (p.params["policy"]["Dense_0"]["kernel"] for p in (policy, begun))
    np.testing.assert_allclose(kernel, before, atol=1e-6)
    other = dataclasses.replace(begun.architecture, policy_hidden=(8,))
    with pytest.raises(ContractError, match=r"has policy_hidden \(.*\), expected \(8,\)"):
        config = dataclasses.replace(config, commander=other)
        train_dribble(SPEC, still_module, config, tmp_path / "other", begun)


def test_a_run_is_not_gone_on_with_by_another_walk(
    still_module: SkillModule, commanding: Path
) -> None:
    walk = TaskPolicy.load(commanding / "walk.npz", "anymal_c", "walk")
    params = walk.params | {"filter_logit": walk.params["filter_logit"] + np.float32(1e-3)}
    other = dataclasses.replace(walk, params=params)
    sizes = CommanderArchitecture(policy_hidden=(16,), critic_hidden=(16,))
    config = dataclasses.replace(CONFIG, commander=sizes)
    with pytest.raises(ContractError, match="checkpoint's walk is"):
        train_dribble(SPEC, still_module, config, commanding / "dribble", other)


def test_a_walk_on_other_skills_is_not_commanded(
    still_module: SkillModule, commanding: Path, tmp_path: Path
) -> None:
    decoder = jax.tree.map(lambda x: x + np.float32(0.01), still_module.params["decoder"])
    other = dataclasses.replace(still_module, params=still_module.params | {"decoder": decoder})
    for name in ("walk.npz", "dribble/dribble.npz"):
        start = load_any_policy(commanding / name)
        config = CONFIG
        if isinstance(start, CommanderPolicy):
            config = dataclasses.replace(CONFIG, commander=start.architecture)
        with pytest.raises(ContractError, match="the walk to command is on other skills"):
            train_dribble(SPEC, other, config, tmp_path, start)


def test_what_cannot_be_trained_is_refused_before_chasing_is_learned(
    still_module: SkillModule, commanding: Path, tmp_path: Path
) -> None:
    walk = TaskPolicy.load(commanding / "walk.npz", "anymal_c", "walk")
    config = dataclasses.replace(CONFIG, ppo=dataclasses.replace(CONFIG.ppo, minibatches=49))
    with pytest.raises(SettingsError, match="minibatches is 49, expected at most the 48"):
        train_dribble(SPEC, still_module, config, tmp_path, walk)
    assert not any(tmp_path.iterdir())


def test_bundles_do_what_commanders_do(commanding: Path) -> None:
    policy = load_any_policy(commanding / "dribble" / "dribble.npz")
    assert isinstance(policy, CommanderPolicy)
    bundle, contract, rng = policy_bundle(policy), policy.contract, np.random.default_rng(0)
    raw = rng.standard_normal((500, contract.history, contract.frame_size), dtype=np.float32)
    told = rng.standard_normal((500, 7), dtype=np.float32)
    assert bundle.header.rest == (0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0)
    told[::10] = bundle.header.rest
    z_tm1 = rng.standard_normal((500, bundle.header.latent_size), dtype=np.float32)
    z_tm1[5::10, :3] *= 1e3  # of which the policy is told only some
    signals = {name: raw[..., where] for name, where in term_slices(contract).items()}
    obs = {
        "proprioception": contract.frame(signals).reshape(500, -1),
        "task": told * task_scale(SIZES["anymal_c"]),
    }
    # Commands of both signs, at their ends as well as near zero.
    params = policy.params | {"policy": jax.tree.map(lambda x: 3.0 * x, policy.params["policy"])}
    policy = dataclasses.replace(policy, params=params)
    decision = act(policy.agent, params, obs, z_tm1, jax.random.key(0), deterministic=True)
    targets, z = policy_bundle(policy).infer(raw, told, z_tm1)
    assert np.abs(z - np.asarray(decision.z)).max() < 1e-4
    wanted = SPEC.joint_targets(np.asarray(decision.action))
    assert np.abs(targets - wanted).max() < 1e-5
    assert z[:, :3].min() < -1.0 and z[:, :3].max() > 1.0


def test_walks_of_another_contract_are_not_commanded(
    still_module: SkillModule, commanding: Path, tmp_path: Path
) -> None:
    walk = TaskPolicy.load(commanding / "walk.npz", "anymal_c", "walk")
    contract = dataclasses.replace(walk.contract, history=walk.contract.history + 1)
    with pytest.raises(ContractError, match="the walk to command"):
        train_dribble(
            SPEC, still_module, CONFIG, tmp_path, dataclasses.replace(walk, contract=contract)
        )
