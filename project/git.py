"""Which commit a project is at."""

from __future__ import annotations

import subprocess
from pathlib import Path


def revision(root: Path) -> str:
    """The commit of the work tree that holds the project; empty without git, outside a tree, or before a commit."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--verify", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
