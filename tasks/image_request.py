"""Describes a project's image to the image engine, and reads the secrets that its build gets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ProjectError
from ..images.oci.image_types import ImageRequest
from ..project.dependencies.uv import index_logins
from ..project.git import revision
from ..project.snapshot import Project

if TYPE_CHECKING:
    from ..project.dependencies.freeze import Lock
    from .reporting.step_log import LogFunction

REVISION_LABEL = "org.opencontainers.image.revision"


def image_request(project: Project, lock: Lock) -> ImageRequest:
    """The image of a project as the project describes it; `images.plan` decides the rest.

    Args:
        project: The project's files and settings.
        lock: Its frozen dependencies.

    Raises:
        ProjectError: There are secrets for a Dockerfile, and there is none.
    """
    settings = project.settings
    dockerfile = project.root / "Dockerfile"
    has_dockerfile = dockerfile.is_file()
    if settings.build_secrets and not has_dockerfile:
        raise ProjectError(
            "build-secrets has no effect: the project has no Dockerfile",
            where=project.root / "pyproject.toml",
            next_step="Remove it; logins of private indexes are found without it",
        )
    commit = revision(project.root)
    return ImageRequest(
        name=settings.name,
        root=project.root,
        files=project.files,
        script=settings.starts.file,
        entry=settings.starts.image_words() if settings.entry else (),
        lock=lock.text,
        conda=lock.method if lock.conda else None,
        python=settings.python,
        base=settings.base,
        base_python=settings.base_python,
        directories=settings.directories,
        env=settings.import_path,
        labels={REVISION_LABEL: commit} if commit else {},
        dockerfile=dockerfile if has_dockerfile else None,
        build_args=settings.build_args,
        build_secrets=settings.build_secrets if has_dockerfile else {},
        target=settings.build_target if has_dockerfile else None,
        command=settings.starts.image_words() if settings.starts.kind == "command" else (),
        runtime_features=settings.runtime_features,
        logins=index_logins(project.root, project.dependencies),
    )


def secrets_of(request: ImageRequest, log: LogFunction) -> dict[str, bytes]:
    """The values of the secrets that the Dockerfile mounts, by id.

    Args:
        request: The image.
        log: Told which secrets are mounted and not given, as Docker builds without them.

    Raises:
        ProjectError: One can't be read, is required and not given, is mounted nowhere, or lies in the build's context,
            from where `COPY` would take it into the image.
    """
    from ..images.docker.build_context import dockerfile_text
    from ..images.docker.dockerfile_parse import secret_mounts
    from ..secret_values import build_values

    mounts = secret_mounts(dockerfile_text(request)) if request.dockerfile else []
    given = request.build_secrets
    for mount in mounts:
        if mount.id in given:
            continue
        if mount.required:
            raise ProjectError(
                f"the step requires the secret {mount.id}, which build-secrets doesn't name",
                where=f"{request.dockerfile}:{mount.line}",
                next_step=f'Set build-secrets = {{ {mount.id} = "block:NAME" }} under [tool.vertex-training]',
            )
        log(f"Dockerfile line {mount.line} runs without the secret {mount.id}, which build-secrets doesn't name")
    if unused := sorted(given.keys() - {mount.id for mount in mounts}):
        raise ProjectError(
            f"no RUN of the Dockerfile mounts the secret {unused[0]}",
            where="build-secrets",
            next_step=f"Write RUN --mount=type=secret,id={unused[0]} in the Dockerfile, or remove it here",
        )
    _refuse_in_context(request)
    return build_values(given, request.root)


def _refuse_in_context(request: ImageRequest) -> None:
    from ..images.docker.build_context import context_names

    files = {name: source.name for name, source in request.build_secrets.items() if source.kind == "file"}
    if not files:
        return
    context = {(request.root / name).resolve() for name in context_names(request)}
    for name, path in files.items():
        if (request.root / Path(path).expanduser()).resolve() in context:
            raise ProjectError(
                f"the file of the secret {name} lies in the build's context, from where COPY takes it into the image",
                where=path,
                next_step="Move it out of the project, or add it to .dockerignore",
            )
