"""The command line: exit codes, messages and figures; what it runs is tested where it is."""

import io
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from legged_skills.cli import main
from legged_skills.robots.doctor import Finding

if TYPE_CHECKING:
    from legged_skills.mocap.clip import RobotClip
    from legged_skills.skill_module.agents import Agent
    from legged_skills.skill_module.module_file import SkillModule

DOG_COLUMNS = 81


def run(*arguments: object) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command says that cannot use what it was given: one sentence, and no figures."""
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("legged-skills: ") and printed.err.endswith(".\n")
    assert printed.err.count("\n") == 1
    return printed.err


def dog_lines(count: int) -> list[str]:
    return [",".join(["0.5"] * DOG_COLUMNS)] * count


@pytest.mark.parametrize(
    ("command", "mentioned"),
    [
        (
            [],
            ["retarget", "clips", "train", "evaluate", "export", "validate", "identify", "play"],
        ),
        (["clips"], ["check", "list"]),
        (["train"], ["skills", "walk", "dribble"]),
        (["evaluate"], ["skills", "walk", "dribble"]),
        (["retarget"], ["--robot", "--out", "--fps", "--speed", "--json"]),
        (["clips", "check"], ["--robot", "--json"]),
        (["clips", "list"], ["--robot", "--json"]),
        (["train", "skills"], ["--clips", "--all-clips", "--out", "--run.seed"]),
        (["train", "walk"], ["--skills", "--out", "--run.minutes", "--walk.vx-range"]),
        (["train", "dribble"], ["--skills", "--out", "--ppo.kl-weight", "--dribble.kernel-m"]),
        (["evaluate", "dribble"], ["--policy", "--episodes", "--gap", "--json", "--out"]),
        (["evaluate", "skills"], ["--skills", "--clips", "--gap", "--plays", "--out", "--json"]),
        (["evaluate", "walk"], ["--policy", "--episodes", "--held-episodes", "--json", "--plot"]),
        (["compare"], ["--robot", "--task", "--skills", "--out", "--steps", "--sweep", "--json"]),
        (["benchmark"], ["sim", "train", "--envs", "--threads", "--json"]),
        (["export"], ["--robot", "--task", "--out", "--policy"]),
        (["validate"], ["--engine", "--episodes", "--max-falls", "--out", "--json"]),
        (["identify"], ["--robot", "--out", "--plot", "--simulate", "--json"]),
        (["twin"], ["--robot", "--gap", "--fault", "--wait", "--domain", "--json"]),
        (["deploy"], ["--robot", "--task", "--bundle", "--twin", "--duration", "--script"]),
        (["teleop"], ["--domain", "--network", "--max-speed"]),
        (["replay"], ["--bundle", "--policy", "--plot", "--joint-log", "--json"]),
        (["play"], ["--clip", "--track", "--task", "--path", "--video", "--backend"]),
        (["demo"], ["--out", "--backend", "--json"]),
        (["doctor"], ["--json"]),
    ],
    ids=" ".join,
)
def test_help(capsys: pytest.CaptureFixture[str], command: list[str], mentioned: list[str]) -> None:
    assert run(*command, "--help") == 0
    shown = capsys.readouterr().out
    assert [word for word in mentioned if word not in shown] == []


@pytest.mark.parametrize(
    "command",
    [
        ["clips", "list"],
        ["clips", "check"],
        ["evaluate", "skills"],
        ["evaluate", "walk"],
        ["evaluate", "dribble"],
        ["compare", "--out", "{tmp}"],
        ["benchmark", "sim"],
        ["play"],
        ["demo", "--out", "{tmp}"],
        ["retarget", "dog.txt", "--out", "{tmp}"],
        ["train", "skills", "--out", "{tmp}"],
        ["train", "walk", "--out", "{tmp}"],
        ["train", "dribble", "--out", "{tmp}"],
    ],
    ids=" ".join,
)
def test_unknown_robot(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: list[str]
) -> None:
    arguments = [word.format(tmp=tmp_path) for word in command]
    said = refusal(capsys, *arguments, "--robot", "anymal_z")
    assert "unknown robot 'anymal_z'" in said and "anymal_c" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["walk"], ["benchmark"], ["retarget", "--fps", "x"]])
def test_unknown_or_missing_arguments(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(*arguments) == 2
    assert capsys.readouterr().err


def test_check_of_shipped_clips(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from legged_skills.mocap.library import shipped_clips

    path = tmp_path / "new" / "figures.json"
    assert run("clips", "check", "--json", path) == 0
    clips = json.loads(path.read_text())["clips"]
    files = [*shipped_clips("anymal_c"), *shipped_clips("op3")]
    assert [clip["name"] for clip in clips] == [file.stem for file in files]
    figures = {"penetration_m", "slide_mps", "limit_violations", "marker_error_m", "passed"}
    for clip in clips:
        assert figures <= clip.keys()
        assert clip["passed"] is True and clip["marker_error_m"] > 0.0
    assert "passed" in capsys.readouterr().out


def test_figures_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("clips", "list", "--robot", "op3", "--json") == 0
    printed = capsys.readouterr()
    clips = json.loads(printed.out)["clips"]
    assert {clip["robot"] for clip in clips} == {"op3"}
    # What people read is out of the way.
    assert "seconds" in printed.err and "licence" in printed.err


def test_check_tells_a_bad_clip(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, wiggling_clip: "RobotClip"
) -> None:
    # Its feet slide over the floor. Nor is its name, in square brackets, taken for a style.
    wiggling_clip.save(tmp_path / "[bold]sole.npz")
    path = tmp_path / "figures.json"
    assert run("clips", "check", tmp_path, "--json", path) == 1
    printed = capsys.readouterr().out
    assert "[bold]sole" in printed and "FAILED" in printed
    (clip,) = json.loads(path.read_text())["clips"]
    assert clip["passed"] is False and clip["slide_mps"] > 0.03
    # Nothing is known of where the clip comes from, and JSON has no NaN.
    assert clip["marker_error_m"] is None


def test_check_of_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = tmp_path / "missing.npz"
    assert str(missing) in refusal(capsys, "clips", "check", missing)
    assert str(tmp_path) in refusal(capsys, "clips", "check", tmp_path)


def test_list(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    assert run("clips", "list", "--json", path) == 0
    printed = capsys.readouterr().out
    for clip in json.loads(path.read_text())["clips"]:
        assert clip["name"] in printed and clip["duration_s"] > 0.0


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "empty"),
        ([*dog_lines(20), dog_lines(1)[0].replace("0.5", "nan", 1)], "line 21, column 1"),
        ([*dog_lines(20), "0.5," + dog_lines(1)[0]], "line 21 has 82 numbers, expected 81"),
        (dog_lines(1), "single frame"),
    ],
    ids=["empty", "nan", "columns", "frame"],
)
def test_retargeting_of_bad_files(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, lines: list[str], said: str
) -> None:
    file, out, figures = tmp_path / "dog.txt", tmp_path / "clips", tmp_path / "figures.json"
    file.write_text("\n".join(lines))
    message = refusal(capsys, "retarget", file, "--out", out, "--json", figures)
    assert str(file) in message and said in message
    assert not out.exists() and not figures.exists()


def test_no_memory_is_no_failed_check(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: object) -> int:
        raise MemoryError("97 GiB")

    monkeypatch.setattr("legged_skills.tasks.commands.Validate.run", run)
    assert "there is not enough memory for that (97 GiB)" in refusal(capsys, "validate")


def test_retargeting_of_no_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file, out = tmp_path / "dog.txt", tmp_path / "clips"
    assert str(file) in refusal(capsys, "retarget", file, "--out", out)
    assert "no motion files" in refusal(capsys, "retarget", "--out", out)
    # The clips of one would take the place of the other's.
    said = refusal(capsys, "retarget", file, tmp_path / "other" / "dog.txt", "--out", out)
    assert "2 recordings are called dog" in said
    assert not out.exists()


def test_retargeting(tmp_path: Path, mocap_dir: Path) -> None:
    source = next(mocap_dir.rglob("dog_walk00*"))
    file, out, figures = tmp_path / "dog.txt", tmp_path / "clips", tmp_path / "figures.json"
    file.write_text("\n".join(source.read_text().splitlines()[:360]))
    assert run("retarget", file, "--out", out, "--json", figures) == 0
    result = json.loads(figures.read_text())
    (entry,) = result["files"]
    assert entry["file"] == str(file) and 0.0 < entry["kept_share"] <= 1.0
    assert entry["written"] == [str(path) for path in sorted(out.glob("*.npz"))]
    assert "dog" in (out / "report.html").read_text()
    assert result["clips"] == len(entry["written"]) == len(entry["clips"])
    assert run("clips", "check", out) == 0


BVH = """HIERARCHY
ROOT Pelvis
{{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
{joints}
}}
MOTION
Frames: 3
Frame Time: 0.01
{frames}
"""
OWN_JOINTS = {
    "left_hip": ("Pelvis", (9.0, -4.0, 0.0)),
    "left_knee": ("left_hip", (0.0, -42.0, 0.0)),
    "left_ankle": ("left_knee", (0.0, -41.0, 0.0)),
    "left_shoulder": ("Pelvis", (18.0, 50.0, 0.0)),
    "left_elbow": ("left_shoulder", (0.0, -28.0, 0.0)),
    "left_wrist": ("left_elbow", (0.0, -26.0, 0.0)),
}


def own_skeleton(path: Path) -> dict[str, str]:
    """Writes a standing person whose joints have names of nobody's; returns role: name."""
    roles: dict[str, str] = {}
    for role in OWN_JOINTS:
        for side in ("left", "right"):
            roles[role.replace("left", side)] = f"J{len(roles)}"

    def joint(role: str, side: str) -> str:
        parent_of = {name: parent for name, (parent, _) in OWN_JOINTS.items()}
        x, y, z = OWN_JOINTS[role][1]
        name = roles[role.replace("left", side)]
        x = x if side == "left" else -x
        inside = [joint(child, side) for child, parent in parent_of.items() if parent == role]
        body = "\n".join(inside) or "End Site\n{\nOFFSET 0 -8 0\n}"
        channels = "CHANNELS 3 Zrotation Xrotation Yrotation"
        return f"JOINT {name}\n{{\nOFFSET {x} {y} {z}\n{channels}\n{body}\n}}"

    tops = ("left_hip", "left_shoulder")
    roots = [joint(role, side) for role in tops for side in ("left", "right")]
    frame = " ".join(["0", "95", "0"] + ["0"] * (3 + 3 * len(roles)))
    path.write_text(BVH.format(joints="\n".join(roots), frames="\n".join([frame] * 3)))
    return roles


def test_information_about_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file, table, figures = tmp_path / "own.bvh", tmp_path / "own.yaml", tmp_path / "figures.json"
    roles = own_skeleton(file)
    said = refusal(capsys, "mocap", "info", file)
    assert "no known skeleton" in said and "left_knee" in said and "J0, J2" in said
    lines = [f"  {role}: {name}" for role, name in roles.items()]
    table.write_text("\n".join(["animal: human", "roles:", *lines]))
    assert run("mocap", "info", file, "--map", table, "--json", figures) == 0
    found = json.loads(figures.read_text())
    assert found["animal"] == "human" and found["fps"] == 100.0 and found["skeleton"] == "own.yaml"
    assert "0.01 m" in found["unit"]
    named = {role: name for name, role in found["joints"].items() if role in roles}
    capsys.readouterr()
    assert named == roles
    table.write_text("animal: human\nroles: {left_hip: Nobody}")
    assert "missing roles: right_hip" in refusal(capsys, "mocap", "info", file, "--map", table)


def test_sets_to_download(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    assert run("mocap", "list", "--cache", tmp_path, "--json", figures) == 0
    sets = json.loads(figures.read_text())["sets"]
    assert {"dog", "deepmimic", "cmu_16"} <= {entry["name"] for entry in sets}
    assert not any(entry["cached"] for entry in sets)
    capsys.readouterr()
    assert "deepmimic" in refusal(capsys, "mocap", "fetch", "cats", "--cache", tmp_path)
    assert "no set was named" in refusal(capsys, "mocap", "fetch")


def test_benchmark_of_retargeting(tmp_path: Path) -> None:
    from legged_skills.mocap.library import shipped_clips

    figures = tmp_path / "figures.json"
    clip = min(shipped_clips("anymal_c"), key=lambda path: path.stat().st_size)
    assert run("benchmark", "retarget", clip, "--seconds", "0.1", "--json", figures) == 0
    result = json.loads(figures.read_text())
    assert result["frames"] > 0 and result["frames_per_second"] > 0.0 and result["files"] == 1


def test_doctor(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "findings.json"
    assert run("doctor", "--json", path) == 0
    findings = json.loads(path.read_text())["findings"]
    names = {finding["name"] for finding in findings}
    assert {"python", "cores", "mujoco", "OpenGL", "ffmpeg", "ROS 2"} <= names
    assert all(finding["found"] or finding["cost"] for finding in findings)
    assert "mujoco" in capsys.readouterr().out


def test_benchmark_of_the_simulation(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    command = ["benchmark", "sim", "--envs", 8, "--threads", 1, "--seconds", 0.2, "--json", path]
    assert run(*command) == 0
    figures = json.loads(path.read_text())
    for name in ("steps_per_second", "bare_steps_per_second", "ratio_to_bare"):
        assert figures[name] > 0.0


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--envs", 0, "envs is 0"),
        ("--envs", 10**9, "envs is 1000000000, expected at most 1000000"),
        ("--times", 0, "times is 0, expected at least 1"),
        ("--seconds", 0, "seconds is 0.0"),
        ("--seconds", "nan", "seconds is nan"),
    ],
)
def test_benchmark_of_nothing(
    capsys: pytest.CaptureFixture[str], option: str, value: object, said: str
) -> None:
    assert said in refusal(capsys, "benchmark", "sim", option, value)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--run.seed", -1, "seed is -1, expected at least 0"),
        ("--run.num-envs", 0, "num_envs is 0, expected at least 1"),
        ("--run.total-steps", 95, "total_steps is 95, expected at least the 96"),
        ("--ppo.steps", 0, "steps is 0, expected at least 1"),
        ("--ppo.minibatches", 0, "minibatches is 0, expected at least 1"),
        ("--history", 0, "history is 0, expected at least 1"),
    ],
)
def test_training_with_unusable_settings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str, value: int, said: str
) -> None:
    out = tmp_path / "run"
    # Few environments, but where that is what is tested.
    few = ["--run.num-envs", 4] if option != "--run.num-envs" else []
    assert said in refusal(capsys, "train", "skills", "--out", out, option, value, *few)
    assert not out.exists()


def test_training_without_clips(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    clips, out = tmp_path / "clips", tmp_path / "run"
    clips.mkdir()
    assert str(clips) in refusal(capsys, "train", "skills", "--clips", clips, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "skills", "--skills"],
        ["evaluate", "walk", "--policy"],
        ["evaluate", "dribble", "--policy"],
        ["train", "walk", "--out", "{tmp}/run", "--skills"],
        ["train", "dribble", "--out", "{tmp}/run", "--skills"],
    ],
    ids=" ".join,
)
def test_unfit_weights(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    wiggling_clip: "RobotClip",
    module: "SkillModule",
    command: list[str],
) -> None:
    path = tmp_path / "weights.npz"
    arguments = [*(word.format(tmp=tmp_path) for word in command), path]
    assert "no such file" in refusal(capsys, *arguments)
    wiggling_clip.save(path)
    assert f"{path}: expected a " in refusal(capsys, *arguments)
    module.save(path)
    path.write_bytes(path.read_bytes()[:2000])
    assert f"{path}: not a readable" in refusal(capsys, *arguments)
    assert list(tmp_path.iterdir()) == [path]


def zero_params(agent: "Agent") -> Any:
    import jax
    import numpy as np

    # Real ones would take seconds to draw.
    shapes = jax.eval_shape(agent.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


@pytest.fixture(scope="module")
def module() -> "SkillModule":
    """A small skill module that asks for the default pose, whatever it sees."""
    from legged_skills import robots
    from legged_skills.robots.contract import proprioception
    from legged_skills.skill_module.agents import Architecture, ImitationAgent
    from legged_skills.skill_module.imitation import ImitationConfig, privileged_size
    from legged_skills.skill_module.module_file import SkillModule

    spec = robots.get("anymal_c")
    contract, imitation = proprioception(spec), ImitationConfig()
    sizes = Architecture(
        latent_size=4, encoder_hidden=(8,), decoder_hidden=(8,), critic_hidden=(8,)
    )
    agent = ImitationAgent(sizes, contract.size, privileged_size(spec, contract, imitation), 12)
    return SkillModule(
        contract=contract,
        architecture=sizes,
        imitation=imitation,
        params=zero_params(agent),
        clips=(),
        summary={},
    )


def test_evaluation_of_skills(
    tmp_path: Path, module: "SkillModule", wiggling_clip: "RobotClip"
) -> None:
    skills, clips, plot = tmp_path / "skills.npz", tmp_path / "clips", tmp_path / "plot.png"
    module.save(skills)
    wiggling_clip.save(clips / "wiggle.npz")
    given = ["--skills", skills, "--clips", clips, "--prior-robots", 2]
    assert run("evaluate", "skills", *given, "--json", tmp_path / "f.json", "--plot", plot) == 0
    figures = json.loads((tmp_path / "f.json").read_text())
    assert [clip["name"] for clip in figures["clips"]] == ["wiggle"]
    assert figures["held_out"] is None and len(figures["kl_per_dimension"]) == 4
    assert figures["prior"]["robots"] == 2 and figures["prior"]["fall_rate"] == 0.0
    for part in (figures, *figures["clips"]):
        assert 0.0 < part["tracked_share"] <= 1.0 and part["joint_error_rad"] > 0.0
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_evaluation_of_walking(
    tmp_path: Path, module: "SkillModule", monkeypatch: pytest.MonkeyPatch
) -> None:
    from legged_skills.tasks import evaluate_walk
    from legged_skills.tasks.policy_file import TaskPolicy
    from legged_skills.tasks.reuse import FrozenDecoder, PolicyArchitecture, ReuseAgent

    small = PolicyArchitecture(policy_hidden=(8,), critic_hidden=(8,))
    agent = ReuseAgent(small, FrozenDecoder.of(module), task_size=3, privileged_size=49)
    TaskPolicy(
        task="walk",
        contract=module.contract,
        task_size=agent.task_size,
        architecture=small,
        decoder=agent.decoder,
        params=zero_params(agent),
        config={},
        summary={},
    ).save(tmp_path / "walk.npz")
    quick = partial(
        evaluate_walk.WalkEvaluationConfig,
        **{"episode_s": 0.8, "command_s": 0.4, "average_s": 0.2},
        **{"held_s": 0.4, "settle_s": 0.2, "standing_s": 0.4},
    )
    monkeypatch.setattr(evaluate_walk, "WalkEvaluationConfig", quick)
    given = ["--policy", tmp_path / "walk.npz", "--episodes", 3, "--plot", tmp_path / "plot.png"]
    assert run("evaluate", "walk", *given, "--json", tmp_path / "f.json") == 0
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["episodes"] == 3 and len(figures["commands"]) == 6
    assert figures["fall_rate"] == 0.0
    assert figures["velocity_error_mps"] > 0.0 and figures["yaw_error_radps"] > 0.0
    # The policy stands: what is commanded is missed by as much, and it stands still.
    assert figures["worst_velocity_error_mps"] == pytest.approx(1.25, abs=0.1)
    assert len(figures["held_commands"]) == 11 and figures["held_commands"][0]["episodes"] == 1
    assert figures["standing"]["drift_m"]["mean"] < 0.05
    assert figures["naturalness"]["nearest_pose_rad"] > 0.0
    assert figures["ranges"]["vx_range"] == [-0.6, 1.3]
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_dribbling(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    module: "SkillModule",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from legged_skills.tasks import evaluate_dribble
    from legged_skills.tasks.policy_file import TaskPolicy
    from legged_skills.tasks.reuse import FrozenDecoder, PolicyArchitecture, ReuseAgent

    small = PolicyArchitecture(policy_hidden=(8,), critic_hidden=(8,))
    agent = ReuseAgent(small, FrozenDecoder.of(module), task_size=7, privileged_size=49)
    policy, out, figures = tmp_path / "ball.npz", tmp_path / "out", tmp_path / "f.json"
    TaskPolicy(
        task="dribble",
        contract=module.contract,
        task_size=agent.task_size,
        architecture=small,
        decoder=agent.decoder,
        params=zero_params(agent),
        config={"start_m": [0.8, 2.0]},
        summary={},
    ).save(policy)
    quick = partial(evaluate_dribble.DribbleEvaluationConfig, episode_s=0.2, skip_s=0.1)
    monkeypatch.setattr(evaluate_dribble, "DribbleEvaluationConfig", quick)
    given = ["--policy", policy, "--episodes", 5, "--gap", "full"]
    assert run("evaluate", "dribble", *given, "--json", figures, "--out", out) == 0
    read = json.loads(figures.read_text())
    # The target has not gone far from where the ball lies.
    assert read["time_near_target"] == 1.0 and 0.0 < read["distance_m"] < 0.2
    assert [part["name"] for part in read["paths"]] == ["straight", "slalom", "square", "jumps"]
    assert [part["episodes"] for part in read["paths"]] == [2, 1, 1, 1]
    assert (out / "paths.png").is_file() and (out / "dribble.mp4").is_file()
    bundle, video = tmp_path / "dribble.onnx", tmp_path / "play.mp4"
    assert run("export", "--task", "dribble", "--policy", policy, "--out", bundle) == 0
    assert f"wrote {bundle}: dribble of anymal_c" in capsys.readouterr().out.replace("\n", "")
    shown = ["--seconds", 0.2, "--video", video, "--backend", "sketch"]
    assert run("play", "--task", "dribble", "--policy", policy, *shown) == 0
    assert video.is_file()
    capsys.readouterr()
    assert "task is dribble, expected walk" in refusal(
        capsys, "evaluate", "walk", "--policy", policy
    )
    assert "episodes is 3" in refusal(
        capsys, "evaluate", "dribble", "--policy", policy, "--episodes", 3
    )


def test_files_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here first")
    path = tmp_path / "file" / "figures.json"
    assert run("doctor", "--json", path) == 2
    assert str(path) in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "here first"


def test_figures_overwrite_nothing_but_figures(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    clip, new, old = (tmp_path / name for name in ("trot_00.npz", "new.txt", "old.JSON"))
    old.touch()
    clip.write_text("here first")
    said = refusal(capsys, "clips", "check", "--robot", "anymal_c", "--json", clip)
    assert "trot_00.npz: exists already, expected a new file or a .json file for --json." in said
    assert clip.read_text() == "here first"
    for path in (new, old, os.devnull):
        assert run("doctor", "--json", path) == 0
    assert new.read_text() == old.read_text() != ""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            PermissionError(13, "Permission denied", "/x"),
            2,
            "legged-skills: /x: Permission denied.",
        ),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_can_happen_at_any_time(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    said: str,
) -> None:
    def examine() -> None:
        raise error

    monkeypatch.setattr("legged_skills.robots.doctor.examine", examine)
    assert run("doctor") == code
    assert capsys.readouterr().err.strip() == said


def test_what_cannot_be_encoded_is_printed_as_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    def examine() -> list[Finding]:
        return [Finding(name="l\udce4ufer \u2192", found="caf\xe9", cost="")]

    written = io.BytesIO()
    monkeypatch.setattr("legged_skills.robots.doctor.examine", examine)
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="latin-1"))
    assert run("doctor") == 0
    sys.stdout.flush()
    assert rb"l\udce4ufer \u2192" in written.getvalue() and b"caf\xe9" in written.getvalue()


def test_benchmark_of_the_gap(tmp_path: Path) -> None:
    figures = tmp_path / "gap.json"
    arguments = ["--envs", "8", "--threads", "1", "--seconds", "0.1", "--gap", "full"]
    assert run("benchmark", "sim", "--robot", "op3", *arguments, "--json", figures) == 0
    read = json.loads(figures.read_text())
    ratio = read["steps_per_second"] / read["clean_steps_per_second"]
    assert read["ratio_to_clean"] == pytest.approx(ratio)
    assert read["gap"] == "full"


def test_from_a_policy_to_a_validated_bundle(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bundle, figures = tmp_path / "walk.onnx", tmp_path / "figures.json"
    assert run("export", "--out", bundle) == 0
    assert f"wrote {bundle}: walk of anymal_c" in capsys.readouterr().out.replace("\n", "")
    arguments = ["--engine", "nominal", "--episodes", 2, "--out", tmp_path / "report"]
    assert run("validate", bundle, *arguments, "--json", figures) == 0
    nominal = json.loads(figures.read_text())["engines"]["nominal"]
    assert nominal["fall_rate"] == 0.0
    assert nominal["energy_ratio"] == 1.0
    assert (tmp_path / "report" / "report.html").is_file()
    capsys.readouterr()
    assert run("benchmark", "runtime", "--bundle", bundle, "--calls", 50, "--json", figures) == 0
    assert json.loads(figures.read_text())["calls"] == 50
    capsys.readouterr()
    message = refusal(capsys, "validate", bundle, "--robot", "op3")
    assert "anymal_c" in message and "expected op3" in message
    message = refusal(capsys, "validate", bundle, "--engine", "moon")
    assert "engine is 'moon'" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "walk", "--gap", "half"], "gap is 'half', expected none, full or a file"),
        (["evaluate", "dribble", "--policy", "nowhere.npz"], "nowhere.npz"),
        (["train", "dribble", "--out", "x", "--dribble.kernel-m", "0"], "kernel_m is 0.0"),
        (["play", "--task", "dribble", "--picture", "x.png"], "task is dribble"),
        (["evaluate", "skills", "--gap", "half"], "gap is 'half'"),
        (["benchmark", "sim", "--gap", "half"], "gap is 'half'"),
        (["train", "walk", "--out", "x", "--gap", "half"], "gap is 'half'"),
        (["validate", "--gap", "none"], "gap is 'none', expected full or a file"),
        (["validate", "nowhere.onnx"], "nowhere.onnx"),
        (["identify", "nowhere.npz"], "nowhere.npz"),
        (["export", "--out", "x.onnx", "--recover"], "weights/anymal_c/getup.npz"),
        (["replay", "nowhere"], "nowhere: there is no such deployment log"),
        (["replay", __file__], "test_cli.py: is no deployment log"),
        (["evaluate", "walk", "--json", "."], ".: is a folder, expected a file for --json"),
        (["evaluate", "walk", "--policy", "."], ".: is a folder, expected a file."),
        (["validate", "."], ".: is a folder, expected a policy bundle."),
        (["identify", "x.npz", "--out", "."], ".: is a folder, expected a file for --out"),
        (["demo", "--out", __file__], "test_cli.py is a file, expected a folder for --out"),
        (
            ["play", "--video", f"{__file__}/films/x.mp4"],
            "test_cli.py is a file, expected a folder for --video",
        ),
        (
            ["evaluate", "walk", "--episodes", str(10**9)],
            "episodes is 1000000000, expected at most",
        ),
        (["evaluate", "skills", "--prior-robots", str(10**9)], "robots is 1000000000"),
        (["twin", "--seconds", "nan"], "seconds is nan, expected more than 0"),
        (["twin", "--speed", "-1"], "speed is -1.0, expected a finite number of at least 0"),
        (["twin", "--video", "x.avi"], "x.avi: expected a video file name that ends in .mp4"),
        (["play", "--clip", "x.npz", "--skills", "y.npz"], "skills are given, but not --track"),
        (["identify", "x.npz", "--simulate", "900"], "expected 10 to 600 s"),
        (["identify", "x.csv", "--simulate", "20"], "a recording file name that ends in .npz"),
        (["identify", "x.npz", "--out", "x.npz"], "expected a JSON file name that ends in .json"),
        (["identify", "x.npz", "--plot", "x.npz"], "a picture file name that ends in .png"),
        (["replay", "x", "--plot", "x.000.npz"], "a picture file name that ends in .png"),
        (["deploy", "--gap", "none"], "gap is given, which is for --twin"),
        (
            ["export", "--out", "walk.npz"],
            "walk.npz: expected a bundle file name that ends in .onnx",
        ),
        (["export", "--out", "x.onnx", "--getup", "y.npz"], "expected --recover, too"),
        (["validate", "--engine"], "engine is empty"),
        (["identify", "x.npz", "--simulate", "20", "--seed", "-1"], "seed is -1"),
        (["train", "getup", "--out", "x", "--search.seed", "-1"], "seed is -1"),
        (["train", "getup", "--out", "x", "--search.candidates", "8"], "candidates is 8, expected"),
        (["deploy", "--twin", "--seed", "-1"], "seed is -1"),
        (
            ["train", "walk", "--out", "x", "--run.seed", str(2**63)],
            f"seed is {2**63}, expected at most 4294967295",
        ),
        (
            ["train", "walk", "--out", "x", "--walk.change-period-s", "0"],
            "change_period_s is 0.0, expected more than 0",
        ),
        (
            ["train", "walk", "--out", "x", "--architecture.memory-steps", "0"],
            "memory_steps is 0.0, expected at least 1.0",
        ),
        (["train", "walk", "--out", "x", "--run.total-steps", "0"], "total_steps is 0"),
        (["train", "walk", "--out", "x", "--run.minutes", "nan"], "minutes is nan"),
        (["train", "walk", "--out", "x", "--run.num-threads", "-1"], "num_threads is -1"),
        (["train", "walk", "--out", "x", "--ppo.gamma", "2"], "gamma is 2.0, expected at least 0"),
        (["train", "walk", "--out", "x", "--ppo.learning-rate", "nan"], "learning_rate is nan"),
        (["train", "walk", "--out", "x", "--gap-factor", "nan"], "gap_factor is nan"),
        (["train", "walk", "--out", "x", "--policy-trim-steps", "-1"], "policy_trim_steps is -1"),
        (["train", "walk", "--out", "x", "--walk.vx-range", "1", "-1"], "vx_range is [1.0, -1.0]"),
        (["train", "skills", "--out", "x", "--prior-alpha", "1"], "prior_alpha is 1.0, expected"),
        (["play", "--seconds", "1e18", "--video", "a.mp4"], "seconds is 1e+18"),
        (["play", "--video", "a.avi"], "a.avi: expected a video file name that ends in .mp4"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_gaps_bundles_and_logs_that_cannot_be_used(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in refusal(capsys, *arguments)


def test_a_simulated_recording_overwrites_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = tmp_path / "real.npz"
    log.write_text("a recording of a robot")
    message = refusal(capsys, "identify", log, "--simulate", 20)
    assert "real.npz: exists already, expected a new file to write." in message
    assert log.read_text() == "a recording of a robot"


def test_where_nothing_may_be_written_is_said_before_the_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("legged_skills.cli.os.access", lambda folder, mode: folder != tmp_path)
    message = refusal(capsys, "demo", "--out", tmp_path / "new" / "deeper")
    assert f"deeper: {tmp_path} may not be written to, as --out needs." in message
    message = refusal(capsys, "evaluate", "walk", "--json", tmp_path / "figures.json")
    assert "as --json needs" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [["evaluate", "walk"], ["compare", "--out", "x"], ["train", "skills", "--out", "x"]],
    ids=" ".join,
)
def test_clips_of_another_robot_are_refused(
    capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    from legged_skills.mocap.library import shipped_clips

    clip = shipped_clips("op3")[0]
    said = refusal(capsys, *command, "--robot", "anymal_c", "--clips", clip)
    assert clip.name in said and "op3" in said and "anymal_c" in said


@pytest.mark.parametrize(("options", "trained"), [([], False), (["--all-clips"], True)])
def test_training_leaves_held_out_clips_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], trained: bool
) -> None:
    from legged_skills.mocap.library import held_out
    from legged_skills.skill_module.training import Result

    given: list[str] = []

    def train_skills(spec: Any, clips: "list[RobotClip]", *rest: Any) -> Result:
        given.extend(clip.name for clip in clips)
        raise KeyboardInterrupt

    monkeypatch.setattr("legged_skills.skill_module.train.train_skills", train_skills)
    assert run("train", "skills", "--out", tmp_path / "run", *options) == 130
    assert any(held_out("anymal_c", name) for name in given) is trained
    assert "dog_walk01_00" in given


@pytest.mark.parametrize(
    ("options", "tracker_steps", "fall_cost"),
    [([], 12_000_000, 100.0), (["--robot", "op3"], 5_000_000, 50.0)],
)
def test_trainings_have_the_settings_of_the_robot(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    tracker_steps: int,
    fall_cost: float,
) -> None:
    given: list[Any] = []

    def train(spec: Any, data: Any, config: Any, *rest: Any, **others: Any) -> None:
        given.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr("legged_skills.skill_module.train.train_skills", train)
    monkeypatch.setattr("legged_skills.tasks.train_walk.train_walk", train)
    assert run("train", "skills", "--out", tmp_path, *options, "--run.seed", 3) == 130
    assert run("train", "walk", "--out", tmp_path, *options, "--walk.max-steps", 7) == 130
    skills, walk = given
    assert (skills.tracker_steps, skills.run.seed) == (tracker_steps, 3)
    assert (walk.walk.fall_cost, walk.walk.max_steps) == (fall_cost, 7)


@pytest.mark.parametrize(
    ("options", "begins"),
    [([], True), (["--start", "none"], False), (["--skills", "{skills}"], False)],
)
def test_dribbling_commands_the_packages_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], begins: bool
) -> None:
    from legged_skills.skill_module.evaluate import shipped_module

    given: list[Any] = []

    def train_dribble(spec: Any, module: Any, config: Any, out: Path, start: Any) -> None:
        given.append(start)
        raise KeyboardInterrupt

    monkeypatch.setattr("legged_skills.tasks.train_dribble.train_dribble", train_dribble)
    options = [word.format(skills=shipped_module("op3")) for word in options]
    assert run("train", "dribble", "--robot", "op3", "--out", tmp_path, *options) == 130
    assert [start is not None and start.task == "walk" for start in given] == [begins]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["skills", "--plays", 0], "plays is 0, expected at least 1"),
        (["skills", "--prior-robots", 0], "robots is 0, expected at least 1"),
        (["skills", "--seed", -1], "seed is -1, expected at least 0"),
        (["skills", "--seed", 2**63], f"seed is {2**63}, expected at most 4294967295"),
        (["getup", "--robot", "op3", "--seed", 2**32], f"seed is {2**32}, expected at most"),
        (["walk", "--held-episodes", 0], "held_episodes is 0, expected at least 1"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_evaluations_that_make_no_sense(
    capsys: pytest.CaptureFixture[str], arguments: list[object], message: str
) -> None:
    assert message in refusal(capsys, "evaluate", *arguments)
