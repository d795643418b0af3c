import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from legged_skills import robots
from legged_skills.robots.errors import ContractError, SettingsError
from legged_skills.sim2real.bundle import Bundle
from legged_skills.tasks.export import policy_bundle
from legged_skills.tasks.policy_file import TaskPolicy
from legged_skills.tasks.validate import (
    ValidateConfig,
    print_validation,
    validate,
    write_validation,
)
from legged_skills.tasks.validate_figures import Gates
from legged_skills.tasks.validate_plots import tornado
from legged_skills.tasks.validate_walk import WalkTrialConfig
from legged_skills.tasks.walk import PACES

SPEC = robots.get("anymal_c")
WALK = WalkTrialConfig(episode_s=0.8, command_s=0.4, average_s=0.2)
CONFIG = ValidateConfig(episodes=3, seed=5, walk=WALK, threads=1)


def quiet() -> Console:
    return Console(file=io.StringIO())


@pytest.fixture(scope="session")
def still_bundle(still_policy: TaskPolicy) -> Bundle:
    """A policy that stands, whatever it is told."""
    return policy_bundle(still_policy)


@pytest.fixture(scope="session")
def figures(still_bundle: Bundle) -> dict[str, Any]:
    return validate(still_bundle, SPEC, "walk", ["edges"], CONFIG, quiet())


def test_a_robot_that_stands_is_as_wrong_as_its_commands_are_fast(
    figures: dict[str, Any],
) -> None:
    nominal = figures["engines"]["nominal"]
    own = PACES["anymal_c"]
    low, high = np.transpose([own.vx_range, own.vy_range, own.yaw_range])
    commands = np.random.default_rng(5).uniform(low, high, (3, 2, 3))
    speed = np.linalg.norm(commands[..., :2], axis=-1).mean()
    assert nominal["velocity_error_mps"] == pytest.approx(speed, abs=0.02)
    assert nominal["yaw_error_radps"] == pytest.approx(np.abs(commands[..., 2]).mean(), abs=0.02)
    assert nominal["fall_rate"] == 0.0 and nominal["episodes"] == 3


def test_figures_hold_everything_by_name(figures: dict[str, Any]) -> None:
    engines = figures["engines"]
    assert list(engines) == ["nominal", "all", "corners", "edges"]
    for name, engine in engines.items():
        # Where a policy that only stands falls in every episode, there is no error: on a slippery
        # floor its legs slide apart.
        errors = ("velocity_error_mps", "yaw_error_radps") if name in ("nominal", "all") else ()
        for figure in ("fall_rate", "energy_ratio", *errors):
            assert np.isfinite(engine[figure]), (name, figure)
    heavy = next(
        at
        for at in engines["edges"]["factors"]
        if at["name"] == "payload_kg" and at["side"] == "high"
    )
    # 5 kg more on about 45 kg take more torque to stand.
    assert heavy["energy_ratio"] > 1.05
    assert figures["passed"] is (figures["missed"] == [])
    assert len(figures["bundle_sha256"]) == 64


def test_the_same_seed_gives_the_same_figures_with_any_number_of_threads(
    still_bundle: Bundle,
) -> None:
    def run(threads: int, seed: int) -> dict[str, Any]:
        config = ValidateConfig(episodes=3, seed=seed, walk=WALK, threads=threads)
        found = validate(still_bundle, SPEC, "walk", ["all"], config, quiet())
        return {name: value for name, value in found.items() if name != "seconds"}

    assert run(1, 5) == run(2, 5)
    assert run(1, 5)["engines"] != run(1, 6)["engines"]


def test_engines_do_not_change_each_others_figures(
    still_bundle: Bundle, figures: dict[str, Any]
) -> None:
    alone = validate(still_bundle, SPEC, "walk", ["corners"], CONFIG, quiet())["engines"]
    assert alone == {name: figures["engines"][name] for name in ("nominal", "corners")}


def test_other_physics_are_named_compared_and_described(
    still_bundle: Bundle, tmp_path: Path
) -> None:
    pytest.importorskip("pybullet")
    path = tmp_path / "mine.xml"
    path.write_text(SPEC.spec(floor=True).to_xml())
    found = validate(still_bundle, SPEC, "walk", ["bullet", str(path)], CONFIG, quiet())
    engines = found["engines"]
    assert list(engines) == ["nominal", "bullet", "mine"]
    # The same physics without rough floors beside it.
    assert engines["mine"]["error_ratio"] == pytest.approx(1.0, abs=1e-3)
    assert engines["mine"]["energy_ratio"] == pytest.approx(1.0, abs=1e-3)
    # The same robot, which stands, in other physics.
    assert engines["bullet"]["error_ratio"] == pytest.approx(1.0, abs=0.05)
    assert engines["bullet"]["energy_ratio"] == pytest.approx(1.0, abs=0.1)
    assert found["models"]["mine"] == found["models"]["nominal"]
    page = write_validation(found, tmp_path / "out").read_text()
    assert "<th>mine</th>" in page


def test_what_cannot_be_validated(still_bundle: Bundle) -> None:
    with pytest.raises(SettingsError, match="task is 'dribble', expected walk"):
        validate(still_bundle, SPEC, "dribble", [], CONFIG, quiet())
    with pytest.raises(ContractError, match="op3"):
        validate(still_bundle, robots.get("op3"), "walk", [], CONFIG, quiet())
    wrongs: list[dict[str, Any]] = [{"episodes": 0}, {"seed": -1}, {"threads": -1}]
    for wrong in wrongs:
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            ValidateConfig(**wrong)


def test_files_of_a_validation(figures: dict[str, Any], tmp_path: Path) -> None:
    report = write_validation(figures, tmp_path / "new")
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"validation.json", "tornado.png", "report.html"}
    read = json.loads((tmp_path / "new" / "validation.json").read_text())
    assert read["engines"]["all"]["fall_rate"] == figures["engines"]["all"]["fall_rate"]
    page = report.read_text()
    assert "payload 5 kg" in page and "data:image/png;base64," in page
    assert figures["bundle_sha256"] in page
    for name in ("nominal", "edges", "all", "corners"):
        assert f"<td>{name}</td>" in page


def test_without_edges_there_is_no_plot(still_bundle: Bundle, tmp_path: Path) -> None:
    gates = Gates(max_error_ratio=0.5)
    config = ValidateConfig(episodes=2, walk=WALK, threads=1, gates=gates)
    found = validate(still_bundle, SPEC, "walk", ["all"], config, quiet())
    assert not found["passed"]
    page = write_validation(found, tmp_path).read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"validation.json", "report.html"}
    assert "Gates were missed" in page and "expected at most 0.50" in page


def test_what_is_printed(figures: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    print_validation(figures | {"missed": ["all: falls 6.0%, expected at most 5.0%."]})
    out = capsys.readouterr().out
    assert "edges (worst: " in out and "what hurts most" in out
    assert "missed: all: falls 6.0%, expected at most 5.0%." in out
    print_validation(figures | {"missed": []})
    assert "all gates passed" in capsys.readouterr().out


def test_tornado_has_a_bar_for_each_side() -> None:
    def at(name: str, side: str, falls: float, error: float) -> dict[str, Any]:
        value = {"low": 0.7, "high": 1.3, "corners": None}[side]
        figures = {"fall_rate": falls, "velocity_error_mps": error}
        return {"name": name, "side": side, "value": value, "unit": "1", **figures}

    def draw(low: float, high: float, corners: float) -> np.ndarray:
        sides = zip(("low", "high", "corners"), (low, high, corners), strict=True)
        edges = {"factors": [at("strength", side, 0.0, error) for side, error in sides]}
        edges["factors"] += [at("armature", side, 0.0, 0.1) for side in ("low", "high", "corners")]
        png = tornado({"nominal": at("x", "low", 0.0, 0.1), "edges": edges}, 0.02)
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)

    colours = ((0, 114, 178), (213, 94, 0), (86, 96, 106))

    def counts(picture: np.ndarray) -> list[int]:
        # The legend is above the panels.
        panels = picture[round(0.25 * len(picture)) :]
        return [int((np.abs(panels - c).max(axis=2) <= 4).sum()) for c in colours]

    low, high, corners = counts(draw(0.4, 0.2, 0.15))
    assert low > 2.5 * high > 4.0 * corners > 0  # bars of 0.3, 0.1 and 0.05 m/s
    assert counts(draw(0.1, 0.1, 0.4))[:2] == [0, 0]
    assert counts(draw(0.1, np.nan, 0.4))[1] > 0  # a cross
