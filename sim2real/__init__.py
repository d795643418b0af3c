"""From simulation to the real robot."""
