"""Motion capture: file formats, retargeting to robots, clip quality, clip files."""
