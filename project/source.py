"""Source of a project: a folder on this machine, or the URL of a git repository."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from ..core.errors import ProjectError

_SCHEMES = {"https", "http", "ssh", "git", "file"}
_SCP = re.compile(r"[\w.-]+@[\w.-]+:(?!//)\S+")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def is_git(project: str) -> bool:
    """Whether `project` is the URL of a repository, such as `https://...`, `file:///...` or `git@host:path`.

    Raises:
        ProjectError: It is a URL of another kind.
    """
    scheme, separator, _ = project.partition("://")
    if separator and scheme not in _SCHEMES:
        raise ProjectError(
            f"{scheme}:// is not the URL of a git repository",
            where=project,
            next_step="Give a folder, or a URL that git can clone, such as https://HOST/OWNER/NAME",
        )
    return bool(separator or _SCP.fullmatch(project))


def check_source(project: str, ref: str, subfolder: str, *, token: bool = False) -> None:
    """Rejects sources that no run can use, before anything is fetched.

    Args:
        project: A folder or a URL.
        ref: A branch, tag or commit; empty for none.
        subfolder: The project's folder in the repository; empty for its root.
        token: Whether there is a token for a private repository.

    Raises:
        ProjectError: The URL has a password, a folder has a ref, the subfolder is outside, or a token would not be
            sent over HTTPS.
    """
    path = PurePosixPath(subfolder)
    if path.is_absolute() or ".." in path.parts:
        raise ProjectError("not a folder inside the project", where=f"subfolder {subfolder}", next_step="Fix it")
    if not is_git(project):
        if ref:
            raise ProjectError(
                "only a git repository has a branch, tag or commit",
                where=f"ref {ref}",
                next_step="Leave ref out, or give the repository's URL as the project",
            )
        return
    if ref.startswith("-"):
        raise ProjectError("not a branch, tag or commit", where=f"ref {ref}", next_step="Fix it")
    if token and not project.startswith("https://"):
        raise ProjectError(
            "a token is only sent over https",
            where=project,
            next_step="Give the repository's https:// URL, or leave the git token out",
        )
    if "://" in project and urlsplit(project).password:
        raise ProjectError(
            "the URL holds a password, which Prefect would store with every run",
            where=str(urlsplit(project).hostname),
            next_step="Save it in a Secret block, and give that block as the git token",
        )


def repository_name(address: str) -> str:
    """The repository's name: the last part of the URL without `.git`."""
    last = re.split(r"[/:]", address.rstrip("/"))[-1]
    return last.removesuffix(".git") or "repository"


def is_commit(ref: str) -> bool:
    """Whether `ref` is a full commit id; git can't fetch a shortened one."""
    return bool(_COMMIT.fullmatch(ref))
