"""Reads the commit of a project's git repository, or why git refuses to."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ..core.security import safe_git


def revision(root: Path) -> str:
    """The commit that is checked out in the project's work tree.

    Empty if git is not installed, the folder is in no work tree, or there is no commit yet.
    """
    try:
        done = safe_git.read(root, "rev-parse", "--verify", "HEAD")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def is_changed(root: Path) -> bool:
    """Whether files below `root` differ from the commit, or are new; False if git can't say."""
    try:
        # A submodule has a configuration of its own, which git would read to look into it.
        done = safe_git.read(root, "status", "--porcelain", "--ignore-submodules=all", "--", ".")
    except (OSError, subprocess.TimeoutExpired):
        return False
    return bool(done.stdout.strip())


def refusal(root: Path) -> str:
    """Why git doesn't read the project's repository, and what to do; empty if it does or if there is none.

    Git refuses a repository of another user until safe.directory names it:
    https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory.
    """
    top = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)
    if top is None or all(path.stat().st_uid == os.geteuid() for path in (top, top / ".git")):
        return ""
    try:
        done = safe_git.read(root, "rev-parse", "--git-dir")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if "dubious ownership" not in done.stderr:
        return ""
    return (
        f"git refuses to read the repository {top}, which another user owns (dubious ownership), so the run has no"
        f" commit. To trust it: git config --global --add safe.directory {top}"
    )
