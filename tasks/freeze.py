"""Step 2: resolves the project's dependencies to exact wheels for linux/amd64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.context import TaskRunContext

from ..core.home import Home
from ..project.snapshot import Project
from .reporting.artifacts import artifact_key
from .reporting.step_log import step_log
from .retry_policy import STEP
from .step_results import step_result

if TYPE_CHECKING:
    from ..project.dependencies.freeze import Lock


def _key(context: TaskRunContext, parameters: dict[str, Any]) -> str:  # noqa: ARG001 - Prefect's signature
    from ..project.dependencies import freeze as engine

    project: Project = parameters["project"]
    return f"freeze-{engine.request_key(project.root, project.settings, project.dependencies)}"


@task(name="freeze", cache_key_fn=_key, result_serializer=step_result("project.dependencies.freeze.Lock"), **STEP)
def freeze(project: Project, refresh: bool = False) -> Lock:
    """Resolves the project's list of dependencies. An unchanged list keeps its versions until `refresh`.

    Raises:
        DependencyError: A requirement that doesn't exist, has no wheel for the target, or can't be copied into an
            image; or a package's CPU-only build for a job with a GPU.
    """
    from ..project.dependencies import freeze as engine
    from .reporting import dependency_page

    log = step_log("freeze")
    cache, listed = Home.default().cache, project.dependencies
    lock = engine.freeze(project.root, project.settings, cache=cache, listed=listed, refresh=refresh)
    for line in (*map(str, lock.changes), *lock.notes):
        log(line)
    if lock.conda:
        log(f"{lock.method} is a conda list: conda builds the image, with Docker (--translate makes it a list for pip)")
        return lock
    for line in out_of_reach(project, lock):
        log(f"warning: {line}")
    count = len(lock.packages)
    log(f"{count} package{'' if count == 1 else 's'} from {lock.method} for Python {lock.python} on linux/amd64")
    create_markdown_artifact(
        dependency_page.page(lock),
        key=artifact_key("dependencies"),
        description="Frozen dependencies, and what had to change",
    )
    return lock


def out_of_reach(project: Project, lock: Lock) -> list[str]:
    """What a build may want to download from servers that don't answer now, of a lock that an earlier run resolved.

    A lock that was resolved just now had the answers of its indexes. Where Docker installs packages, it downloads them.
    """
    builder = project.settings.builder or ("docker" if (project.root / "Dockerfile").is_file() else "direct")
    if not lock.known or builder != "direct":
        return []
    from ..images.wheels.absent_servers import absent_servers

    return list(absent_servers(lock.text, lock.python, project.root, cache=Home.default().cache))
