"""``python -m legged_skills`` is the command ``legged-skills``."""

from legged_skills.cli import main

if __name__ == "__main__":
    main()
