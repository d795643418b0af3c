import dataclasses
import json
from typing import Any

import jax
import numpy as np
import pytest

from legged_skills import robots
from legged_skills.robots.contract import proprioception
from legged_skills.robots.errors import ContractError, FileFormatError
from legged_skills.skill_module.agents import Architecture, ImitationAgent
from legged_skills.skill_module.imitation import ImitationConfig, privileged_size
from legged_skills.skill_module.module_file import SkillModule, read_settings

SPEC = robots.get("anymal_c")
CONTRACT = proprioception(SPEC)
SMALL = Architecture(
    latent_size=4, encoder_hidden=(8,), decoder_hidden=(8, 8), critic_hidden=(8,), alpha=0.9
)


def _module() -> SkillModule:
    imitation = ImitationConfig(future_steps=(1, 3))
    agent = ImitationAgent(SMALL, CONTRACT.size, privileged_size(SPEC, CONTRACT, imitation), 12)
    return SkillModule(
        contract=CONTRACT,
        architecture=SMALL,
        imitation=imitation,
        params=jax.tree.map(np.asarray, agent.init(jax.random.key(0))),
        clips=("a", "b"),
        summary={"steps": 3, "seed": 0},
    )


def test_round_trip_is_exact(tmp_path):
    module = _module()
    module.save(tmp_path / "m.npz")
    found = SkillModule.load(tmp_path / "m.npz", robot="anymal_c")
    assert (found.contract, found.architecture, found.imitation) == (
        module.contract,
        module.architecture,
        module.imitation,
    )
    assert (found.clips, found.summary, found.robot) == (("a", "b"), module.summary, "anymal_c")
    proprioception_ = np.ones((2, CONTRACT.size), np.float32)
    z = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(
        found.agent.decode(found.params, proprioception_, z),
        module.agent.decode(module.params, proprioception_, z),
    )


def _edited(tmp_path, change):
    """A saved module whose header was changed by hand."""
    path = tmp_path / "m.npz"
    _module().save(path)
    with np.load(path) as archive:
        arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
    header = json.loads(str(arrays["header"]))
    change(header, arrays)
    arrays["header"] = np.array(json.dumps(header))
    np.savez(path, **arrays)
    return path


def test_edited_contract_is_refused(tmp_path):
    def change(header, arrays):
        header["contract"]["action_scale"] = 0.6

    with pytest.raises(ContractError, match=r"m.npz: .* the contract was edited"):
        SkillModule.load(_edited(tmp_path, change))


def test_other_robot_is_refused(tmp_path):
    _module().save(tmp_path / "m.npz")
    with pytest.raises(ContractError, match="the skill module is for anymal_c, expected op3"):
        SkillModule.load(tmp_path / "m.npz", robot="op3")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, a: h.pop("imitation"), "header lacks 'imitation'"),
        (
            lambda h, a: h["architecture"].update(depth=5),
            r"m\.npz: Architecture has no field 'depth' here; .* another version",
        ),
        (
            lambda h, a: h["imitation"].update(feet_m=5),
            r"m\.npz: ImitationConfig has no field 'feet_m' here; .* another version",
        ),
        (lambda h, a: h["architecture"].update(latent_size=5), "weights .*expected"),
        (lambda h, a: a.pop("action_log_std"), "'action_log_std': missing"),
        (lambda h, a: a["decoder/Dense_0/bias"].fill(np.nan), "non-finite"),
        (
            lambda h, a: h["architecture"].update(latent_size="4"),
            r"m\.npz: Architecture: latent_size is '4', expected a whole number",
        ),
        (
            lambda h, a: h["architecture"].update(encoder_hidden=5),
            r"m\.npz: Architecture: encoder_hidden is 5, expected a list of whole numbers",
        ),
        (
            lambda h, a: h["architecture"].update(alpha=1.0),
            r"m\.npz: Architecture: alpha is 1\.0, expected at least 0 and less than 1",
        ),
        (
            lambda h, a: h.update(architecture=[]),
            r"m\.npz: Architecture is \[\], expected its fields",
        ),
        (
            lambda h, a: h["architecture"].update(latent_size=10**12),
            r"m\.npz: .*expected",
        ),
        (
            lambda h, a: h["imitation"].update(future_steps=[-3]),
            r"m\.npz: ImitationConfig: future_steps is \(-3,\), expected control steps",
        ),
        (lambda h, a: h.update(clips=5), r"m\.npz: clips is 5, expected a list of texts"),
        (lambda h, a: h.update(summary=[]), r"m\.npz: summary is \[\], expected fields"),
        (
            lambda h, a: a.update(action_log_std=np.full(12, "0.5")),
            r"m\.npz: weights 'action_log_std' are of type <U3, expected floating-point",
        ),
        (
            lambda h, a: a.update(action_log_std=np.full(12, 0.5j)),
            "weights 'action_log_std' are of type complex128",
        ),
        (
            lambda h, a: a.update({"encoder": np.zeros(1), **{name: a.pop(name) for name in [*a]}}),
            r"m\.npz: not a readable file of weights",
        ),
    ],
)
def test_damage_is_named(tmp_path, change, message):
    with pytest.raises(FileFormatError, match=message) as caught:
        SkillModule.load(_edited(tmp_path, change))
    assert "\n" not in str(caught.value)


def test_modules_of_the_robot_as_it_was_are_refused(tmp_path):
    contract = dataclasses.replace(CONTRACT, kp=(79.0, *CONTRACT.kp[1:]))
    dataclasses.replace(_module(), contract=contract).save(tmp_path / "m.npz")
    message = r"m\.npz: the kp of LF_HAA is 79\.0 Nm/rad, expected 80\.0 Nm/rad\.$"
    with pytest.raises(ContractError, match=message):
        SkillModule.load(tmp_path / "m.npz")


def test_missing_fields_take_their_defaults_if_they_have_one(tmp_path):
    path = _edited(tmp_path, lambda header, arrays: header["imitation"].pop("start_noise"))
    wanted = dataclasses.replace(_module().imitation, start_noise=ImitationConfig().start_noise)
    assert SkillModule.load(path).imitation == wanted

    @dataclasses.dataclass(frozen=True)
    class Sizes:
        width: int
        depth: int = 2

    assert read_settings("m.npz", Sizes, {"width": 3}) == Sizes(3, 2)
    with pytest.raises(FileFormatError, match=r"^m\.npz: Sizes lacks the field 'width'\.$"):
        read_settings("m.npz", Sizes, {"depth": 3})


def test_critic_is_not_part_of_the_file(tmp_path):
    module = _module()
    module.save(tmp_path / "m.npz")
    assert "critic" in module.params
    assert "critic" not in SkillModule.load(tmp_path / "m.npz").params
    assert dataclasses.is_dataclass(module)
