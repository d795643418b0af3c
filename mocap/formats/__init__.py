"""Readers of motion capture files, one module a format, and what they share."""

from legged_skills.mocap.formats.read import format_names, read_motion

__all__ = ["format_names", "read_motion"]
