"""Source of a project: a folder on this machine, or the URL of a git repository."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from ..core.errors import ProjectError
from ..core.security.safe_git import USER_INFO

_SCHEMES = {"https", "http", "ssh", "git", "file"}
_SCP = re.compile(r"[\w.-]+@[\w.-]+:(?!//)\S+")


def is_git(project: str) -> bool:
    """Whether `project` is the URL of a repository, such as `https://...`, `file:///...` or `git@host:path`.

    Raises:
        ProjectError: It is a URL of another kind.
    """
    scheme, separator, _ = project.partition("://")
    if separator and scheme.lower() not in _SCHEMES:
        raise ProjectError(
            f"{scheme}:// is not the URL of a git repository",
            where=USER_INFO.sub("", project),
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
        ProjectError: The URL has a user name or password, a folder has a ref, the subfolder is outside, or a token
            would not be sent over HTTPS.
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
    refuse_user_info(project)
    if token and not project.startswith("https://"):
        raise ProjectError(
            "a token is only sent over https",
            where=project,
            next_step="Give the repository's https:// URL, or leave the git token out",
        )


def refuse_user_info(address: str) -> None:
    """Rejects a URL that holds a password, or over http(s) anything before an `@`: tokens are put there.

    Raises:
        ProjectError: It doesn't repeat what stands there.
    """
    found = USER_INFO.search(address)
    if not found or (address.lower().startswith(("ssh://", "git://")) and ":" not in found[0]):
        return
    raise ProjectError(
        "the URL holds a user name, password or token, which Prefect would store with every run",
        where=USER_INFO.sub("", address),
        next_step="Leave it out of the URL; save a token in a Secret block, and give that block as the git token",
    )


def repository_name(address: str) -> str:
    """The repository's name: the last part of the URL without `.git`."""
    last = re.split(r"[/:]", address.rstrip("/"))[-1]
    return last.removesuffix(".git") or "repository"
