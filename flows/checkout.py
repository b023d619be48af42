"""Makes a project available as a folder: a local one, or a clone of a git repository."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.blocks.system import Secret

from ..core.errors import ProjectError
from ..core.home import Home
from ..project.git import revision
from ..project.source import check_source, is_git
from ..tasks.fetch import checkout_folder, fetch, pull
from .step_runner import Steps


@contextmanager
def project_folder(
    project: str, ref: str, subfolder: str, token: Secret[str] | None, *, home: Home, steps: Steps
) -> Iterator[Path]:
    """The project's folder; a clone exists as long as the `with` block runs.

    A retry of the run gets the commit of its first attempt, also on another worker.

    Raises:
        ProjectError: The repository, the ref or the subfolder can't be used.
    """
    check_source(project, ref, subfolder, token=token is not None)
    if not is_git(project):
        yield Path(project).expanduser() / subfolder
        return
    with checkout_folder(project, home) as folder:
        commit = steps.run(fetch, project, ref, token, folder)
        if revision(folder) != commit:
            pull(project, commit, token, folder)
        if not (folder / subfolder).is_dir():
            raise ProjectError(
                "there is no such folder in the repository",
                where=f"{project} {subfolder}",
                next_step=f"Correct the subfolder; looked at commit {commit[:12]}",
            )
        yield folder / subfolder
