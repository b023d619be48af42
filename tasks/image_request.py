"""Describes a project's image to the image engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..images.oci.image_types import ImageRequest
from ..project.dependencies.uv import index_logins
from ..project.git import revision
from ..project.snapshot import Project

if TYPE_CHECKING:
    from ..project.dependencies.freeze import Lock

REVISION_LABEL = "org.opencontainers.image.revision"


def image_request(project: Project, lock: Lock) -> ImageRequest:
    """The image of a project as the project describes it; `images.plan` decides the rest.

    Args:
        project: The project's files and settings.
        lock: Its frozen dependencies.
    """
    settings = project.settings
    dockerfile = project.root / "Dockerfile"
    has_dockerfile = dockerfile.is_file()
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
        target=settings.build_target if has_dockerfile else None,
        command=settings.starts.image_words() if settings.starts.kind == "command" else (),
        runtime_features=settings.runtime_features,
        logins=index_logins(project.root, project.dependencies),
    )
