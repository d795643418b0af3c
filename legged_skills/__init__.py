"""Motion capture in, a policy on a real robot out: movement skills for legged robots."""

from pathlib import Path as _Path

# The code lies in folders beside this one. In a checkout they are found through
# the package's path; an installed package has them as real subpackages.
_root = _Path(__file__).resolve().parent.parent
if (_root / "package.xml").is_file():
    from xml.etree import ElementTree as _ElementTree

    __path__.append(str(_root))
    __version__ = _ElementTree.parse(_root / "package.xml").findtext("version", "")
else:
    from importlib.metadata import version as _version

    __version__ = _version("legged-skills")
