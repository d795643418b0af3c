import copy
import dataclasses
import hashlib
import json

import numpy as np
import pytest

from legged_skills.robots.contract import ObservationContract
from legged_skills.robots.errors import ContractError, FileFormatError
from legged_skills.sim2real.bundle_header import BundleHeader, check_seal, seal

MODEL = b"\x08\x08\x12\x0dlegged_skills and a graph"


def _paths(value, path=()):
    """Where everything in a JSON value is."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from _paths(item, (*path, key))


def _at(data, path):
    for key in path:
        data = data[key]
    return data


@pytest.fixture(scope="module")
def data(bundle):
    return json.loads(bundle.header.to_text())


def test_seal_is_the_checksum_of_all_before_it():
    sealed = seal(MODEL)
    assert sealed[-64:] == hashlib.sha256(sealed[:-64]).hexdigest().encode()
    assert check_seal(sealed, "x") == sealed[-64:].decode()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "x: not a policy bundle"),
        (lambda data: b"PK\x03\x04" * 40, "x: not a policy bundle"),
        (lambda data: data[:-1], "x: the bundle is cut short"),
        (lambda data: data[:30], "x: the bundle is cut short"),
        (lambda data: data + b"\n", "x: the bundle is cut short"),
        (lambda data: data.replace(b"a graph", b"a graqh"), "x: the bundle was edited"),
        (lambda data: data[:-64] + data[-64:].upper(), "x: the bundle was edited"),
        (lambda data: data[:-64] + b"\xff" * 64, "x: the bundle was edited"),
    ],
)
def test_broken_seals(damage, message):
    with pytest.raises(FileFormatError, match=message):
        check_seal(damage(seal(MODEL)), "x")


def test_round_trip_at_full_precision(bundle):
    third = np.full(12, 1.0 / 3.0)
    header = dataclasses.replace(bundle.header, torque_limit=third, timing={"delay_s": 0.1 / 3.0})
    read = BundleHeader.from_text(header.to_text(), "x")
    assert read.contract == header.contract
    assert read.command == header.command
    assert read.rest == header.rest == (0.0, 0.0, 0.0)
    np.testing.assert_array_equal(read.torque_limit, third)
    np.testing.assert_array_equal(read.joint_lower, header.joint_lower)
    assert read.timing == {"delay_s": 0.1 / 3.0}
    assert not read.joint_lower.flags.writeable
    # JSON has no NaN.
    assert read.training == {"steps": 7, "figures": {"reward": None}}


def test_header_names_everything(data, policy):
    assert data["format"] == 1
    assert data["robot"] == "anymal_c"
    assert data["contract_hash"] == policy.contract.hash
    assert ObservationContract.from_json(data["contract"]) == policy.contract
    assert data["command"]["name"] == "velocity"
    assert data["command"]["size"] == 3
    # Of the policy's settings, and of the task's where they say nothing.
    assert data["command"]["components"] == [
        {"name": "vx", "unit": "m/s", "low": -0.5, "high": 0.75},
        {"name": "vy", "unit": "m/s", "low": -0.35, "high": 0.35},
        {"name": "yaw_rate", "unit": "rad/s", "low": -1.1, "high": 1.1},
    ]
    assert data["command"]["rest"] == [0.0, 0.0, 0.0]
    assert data["velocity_limit"] == [7.5] * 12
    assert data["timing"] is None


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("format",), 2, "'format' in the bundle's header is 2, expected 1"),
        (("format",), True, "'format' in the bundle's header is true, expected 1"),
        (("latent_size",), 0, "'latent_size' in the bundle's header is 0, expected an integer"),
        (("joint_upper",), [1.0], "'joint_upper' .* expected 12 numbers, one for each joint"),
        (("robot",), "op3", "'robot' in the bundle's header is \"op3\", expected 'anymal_c'"),
        (("command", "size"), 2, "'size' in the bundle's command is 2, expected 3"),
        (("command", "components", 0, "high"), -0.6, "is -0.6, expected a number, at least -0.5"),
        (("command", "rest"), [0.0], r"'rest' in .* is \[0.0\], expected 3 numbers or null"),
        (("command", "rest", 1), None, r"'rest' in .*, expected 3 numbers or null"),
        (("contract", "kp", 0), None, "'kp' in the bundle's contract .* expected 12 numbers"),
        (("contract", "action_scale"), 0.0, "is 0.0, expected a number above 0"),
        (("contract", "terms", 2, "size"), 11, "'joint_pos' has 11 values, expected one for each"),
        (("contract", "terms", 1, "name"), "gravity", "a term of the contract is named twice"),
        (("contract", "terms", 2, "name"), "angle", "lacks the term 'joint_pos'"),
        (("timing",), 3, "'timing' in the bundle's header is 3, expected a table or null"),
    ],
)
def test_wrong_entries_are_named(data, path, value, message):
    edited = copy.deepcopy(data)
    _at(edited, path[:-1])[path[-1]] = value
    with pytest.raises(FileFormatError, match=message):
        BundleHeader.from_text(json.dumps(edited), "x")


def test_standing_is_a_command_or_none(data):
    edited = copy.deepcopy(data)
    edited["command"]["rest"] = [0.0, 1.0 / 3.0, 9]
    read = BundleHeader.from_text(json.dumps(edited), "x")
    assert read.rest == (0.0, 1.0 / 3.0, 9.0)
    assert BundleHeader.from_text(read.to_text(), "x").rest == read.rest
    read = dataclasses.replace(read, rest=None)
    assert BundleHeader.from_text(read.to_text(), "x").rest is None


@pytest.mark.parametrize(("name", "rest"), [("velocity", (0.0,) * 3), ("ball", None)])
def test_older_headers_do_not_say_how_to_stand(data, name, rest):
    edited = copy.deepcopy(data)
    del edited["command"]["rest"]
    edited["command"]["name"] = name
    assert BundleHeader.from_text(json.dumps(edited), "x").rest == rest


def test_edited_contract_is_refused(data):
    edited = copy.deepcopy(data)
    edited["contract"]["kp"][0] = 81.0
    with pytest.raises(
        ContractError, match=r"x: the contract's hash is .*; the contract was edited"
    ):
        BundleHeader.from_text(json.dumps(edited), "x")


def test_enormous_observation_is_refused(data):
    edited = copy.deepcopy(data)
    edited["contract"]["terms"][0]["size"] = edited["contract"]["history"] = 4096
    with pytest.raises(FileFormatError, match="more than 1000000 values in an observation"):
        BundleHeader.from_text(json.dumps(edited), "x")


@pytest.mark.parametrize("junk", [None, "x", -1, 10**400, [], {}, [[[1]]], float("nan")])
def test_any_other_entry_is_read_or_refused_with_a_sentence(data, junk):
    refused = 0
    for path in _paths({key: data[key] for key in data if key != "training"}):
        edited = copy.deepcopy(data)
        _at(edited, path[:-1])[path[-1]] = junk
        try:
            BundleHeader.from_text(json.dumps(edited), "x")
        except (FileFormatError, ContractError) as error:
            refused += 1
            assert str(error).startswith("x: ") and str(error).endswith(".")
    assert refused > 100


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "3", "null", "1" * 5000])
def test_text_that_is_no_table(text):
    with pytest.raises(FileFormatError, match=r"^x: the bundle's header is"):
        BundleHeader.from_text(text, "x")


@pytest.mark.parametrize("depth", [500, 900, 990])
def test_deep_nesting_is_refused_with_a_sentence(data, depth):
    edited = json.dumps({**data, "task": "DEEP"}).replace('"DEEP"', "[" * depth + "]" * depth)
    with pytest.raises(FileFormatError, match=r"^x: "):
        BundleHeader.from_text(edited, "x")


def test_missing_entries_are_named(data):
    for name in data:
        edited = {key: value for key, value in data.items() if key != name}
        with pytest.raises(FileFormatError, match=f"the bundle's header lacks '{name}'"):
            BundleHeader.from_text(json.dumps(edited), "x")
