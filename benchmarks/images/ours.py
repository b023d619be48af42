"""This project's direct builder, in this process."""

from __future__ import annotations

import shutil
from pathlib import Path

from prefect_vertex_training.core.home import Home
from prefect_vertex_training.images import build
from prefect_vertex_training.images.base.resolve import resolve_base
from prefect_vertex_training.images.confirm import confirmed_image
from prefect_vertex_training.images.oci.content_tag import image_fingerprint, image_tag
from prefect_vertex_training.images.oci.image_types import BuiltImage, ImageRequest
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.images.oci.reference import Reference
from prefect_vertex_training.images.push import prepare_uploads, push
from prefect_vertex_training.images.registry.repository import Repository
from prefect_vertex_training.project.dependencies.freeze import freeze
from prefect_vertex_training.project.settings.settings import load
from prefect_vertex_training.project.snapshot import Project as Snapshot
from projects import Project
from rivals import Rival


class Ours(Rival):
    """What the train flow does between verify and submit: scan, lock, ask the registry, build, push."""

    name = "direct layers"

    def __init__(self, home: Path) -> None:
        self.home = home
        self.base = ""
        self.sent = 0

    def prepare(self, project: Project, base: str) -> None:
        self.base = base
        (project.folder / "Dockerfile").unlink(missing_ok=True)
        freeze(project.folder, load(project.folder), cache=self.home / "locks")  # resolving is not what is compared

    def forget(self, base: str) -> None:  # noqa: ARG002 - a base is never pulled
        shutil.rmtree(self.home / "cache", ignore_errors=True)
        shutil.rmtree(self.home / "images", ignore_errors=True)

    def build_and_push(self, project: Project, image: str) -> None:
        self.build_and_push_project(project.folder, image, self.base)

    def build_and_push_project(self, folder: Path, image: str, base_name: str) -> BuiltImage:
        """As `tasks.build` and `tasks.push` do it."""
        home = Home(self.home)
        opened, cache = Snapshot.open(folder, home), home.cache
        settings = opened.settings
        lock = freeze(folder, settings, cache=self.home / "locks")
        base = resolve_base(base_name, cache=cache, python=settings.python)
        content = image_fingerprint(opened.fingerprint, lock.digest, base_digest=base.digest, builder="direct")
        target = Repository(Reference.parse(image))
        layout = OciLayout(self.home / "images", settings.name)
        prepare_uploads(target, layout, content, cache)
        found = confirmed_image(target, content, layout=layout, cache=cache)
        if found is not None:
            target.discard_uploads()
            self.sent = 0
            return found
        request = ImageRequest(
            name=settings.name,
            root=folder,
            files=opened.files,
            script=settings.script,
            lock=lock.text,
            python=settings.python,
            base=base_name,
            fingerprint=content,
        )
        built = build.build(request, layout, cache=cache, base=base, upload_to=target)
        self.sent = sum(layer.size for layer in built.layers if layer.action == "uploaded")
        return push(built, layout, target, tags=[image_tag(content), "latest"], base=base, cache=cache)
