"""Gives the joints of a source their roles, by known skeletons or by a user's own table."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from legged_skills.mocap.skeletons import ROLES, SKELETONS, Skeleton, bodies, plain, subjects
from legged_skills.mocap.source import SourceMotion
from legged_skills.robots.errors import ClipError, FileFormatError

_LISTED_NAMES = 60
_MAX_MAP_BYTES = 100_000


def identify(motion: SourceMotion, own: Skeleton | None = None) -> SourceMotion:
    """Renames the markers of a source to their roles.

    Args:
        motion: the source, with the names of its file.
        own: the user's own table (``load_map``); None to look among the known ones.

    Returns:
        The same motion, with roles for names where there are any; ``skeleton`` is the animal,
        and ``source["skeleton"]`` the convention.

    Raises:
        ClipError: it is of no known skeleton, but for one put together from several subjects,
            or lacks what the user's table names; the message lists the names found and the roles
            without one.
    """
    names = motion.marker_names
    if own is not None:
        return _renamed(motion, own, _own_places(motion, own))
    for body in bodies(names):
        skeleton = _known(motion, body)
        if skeleton is not None:
            return _renamed(motion, skeleton, skeleton.place(body))
    where = motion.source.get("file", "motion")
    if _known(motion, names) is not None:
        raise ClipError(
            f"{where}: has joints of {_shown(subjects(names))}, of whom none has all that is "
            "needed; say which is which with --map file.yaml."
        )
    raise ClipError(
        f"{where}: of no known skeleton. {_nearest(names)} Joints "
        f"found: {_shown(names)}. Say which is which with --map file.yaml."
    )


def _known(motion: SourceMotion, names: Sequence[str]) -> Skeleton | None:
    """The first skeleton of which some names of a motion are all that is needed."""
    for skeleton in SKELETONS:
        fits = not skeleton.formats or motion.source.get("format") in skeleton.formats
        if fits and not skeleton.missing(names):
            return skeleton
    return None


def _nearest(names: tuple[str, ...]) -> str:
    """What is missing for the skeleton that fits best."""
    shares = [len(s.missing(names)) / len(ROLES[s.animal][0]) for s in SKELETONS]
    best = int(min(range(len(shares)), key=shares.__getitem__))
    if shares[best] < 1:
        nearest = SKELETONS[best]
        missing = ", ".join(nearest.missing(names))
        return f"The nearest is {nearest.name}, in which these have no joint: {missing}."
    roles = "; ".join(
        f"a {animal} has {', '.join(needed)}" for animal, (needed, _) in ROLES.items()
    )
    return f"No joint has a name of one; {roles}."


def _shown(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_LISTED_NAMES]) + (", ..." if len(names) > _LISTED_NAMES else "")


def _own_places(motion: SourceMotion, own: Skeleton) -> dict[str, str]:
    """The names that the user's table gives, all of which must exist."""
    known = {plain(name): name for name in reversed(motion.marker_names)}
    wanted = {role: names[0] for role, names in own.roles.items()}
    absent = [f"{role}: {name}" for role, name in wanted.items() if plain(name) not in known]
    if absent:
        raise ClipError(
            f"{own.name}: names joints that {motion.source.get('file', 'the motion')} has not "
            f"({'; '.join(absent)}). Joints found: {_shown(motion.marker_names)}."
        )
    # A name as it stands in the file is that joint, whatever others differ by namespace or case.
    return {
        role: name if name in motion.marker_names else known[plain(name)]
        for role, name in wanted.items()
    }


def _renamed(motion: SourceMotion, skeleton: Skeleton, places: dict[str, str]) -> SourceMotion:
    """The motion with roles for names."""
    role_of = {name: role for role, name in places.items()}
    required, extras = ROLES[skeleton.animal]
    taken = {*required, *extras}
    names = [
        role_of.get(name, f"{name} (other)" if name in taken else name)
        for name in motion.marker_names
    ]
    return replace(
        motion,
        marker_names=tuple(names),
        skeleton=skeleton.animal,
        source={**motion.source, "skeleton": skeleton.name},
    )


def load_map(path: str | Path) -> Skeleton:
    """Reads a user's table of roles.

    The file is YAML: ``animal: human`` (or ``dog``), and ``roles:`` with a joint's name for
    each role of ``ROLES``.

    Args:
        path: the file.

    Returns:
        The table as a skeleton named after the file.

    Raises:
        FileFormatError: the file cannot be read or is not YAML.
        ClipError: it is not such a table; the message names the field.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MAX_MAP_BYTES:
            raise FileFormatError(f"{path}: is too large for a map of joints.")
        # Texts, lists and tables only: no tag can fail, and no merge of tables can grow.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise FileFormatError(f"{path}: is not YAML ({problem}).") from None
    if not isinstance(content, dict):
        raise ClipError(f"{path}: expected the fields animal and roles.")
    animal, roles = content.get("animal", "human"), content.get("roles")
    if not isinstance(animal, str) or animal not in ROLES:
        raise ClipError(f"{path}: animal is {animal!r}, expected human or dog.")
    if not isinstance(roles, dict) or not all(
        isinstance(k, str) and isinstance(v, str) for k, v in roles.items()
    ):
        raise ClipError(f"{path}: roles must be a table of role: joint name.")
    required, extras = ROLES[animal]
    unknown = [role for role in roles if role not in (*required, *extras)]
    absent = [role for role in required if role not in roles]
    if unknown or absent:
        raise ClipError(
            f"{path}: unknown roles: {', '.join(unknown) or 'none'}; "
            f"missing roles: {', '.join(absent) or 'none'}; "
            f"roles of a {animal}: {', '.join((*required, *extras))}."
        )
    names = [plain(name) for name in roles.values()]
    twice = sorted({name for name in roles.values() if names.count(plain(name)) > 1})
    if twice:
        raise ClipError(f"{path}: {', '.join(twice)} has more than one role.")
    return Skeleton(
        name=path.name,
        animal="dog" if animal == "dog" else "human",
        roles={role: (name,) for role, name in roles.items()},
    )
