"""Brings a run's image and data to the region of a place of its fall-back list, before a job is created there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...core.errors import RegistryError
from ...images.copy_image import copy_image
from ...project.snapshot import Project
from ...tasks.reporting.step_log import step_log
from ...vertex.submit.region_check import far_registry

if TYPE_CHECKING:
    from ...blocks.registry import ContainerRegistry
    from ...datasets.data_record import DataRecord
    from ...project.settings.data_settings import DataSetting
    from ...vertex.client.connection import Connection


def image_in(registry: ContainerRegistry | None, name: str, reference: str, digest: str) -> Callable[[str], str]:
    """What brings the image to a region, and returns its reference there.

    Only Artifact Registry has regions. Where its other region has no repository of that name, or the account may not
    push there, the image is pulled from where it is, which takes longer.

    Args:
        registry: The run's registry; None for this machine.
        name: The image's name.
        reference: Its reference.
        digest: Its digest.
    """

    def bring(region: str) -> str:
        if registry is None or not far_registry(registry.host, region):
            return reference
        from prefect_docker.credentials import DockerRegistryCredentials

        # A password belongs to one host, and must not be sent to another one.
        if isinstance(registry.credentials, DockerRegistryCredentials):
            return reference
        there = registry.model_copy(update={"host": f"{region}-docker.pkg.dev"})
        try:
            target = there.target(name)
            sent = copy_image(digest, registry.target(name), target)
        except RegistryError as error:
            if error.transient:
                raise
            step_log("submit", level=logging.WARNING)(
                f"the image stays in {registry.host}, from where {region} pulls it, because {there.host} refuses it:"
                f" {error}"
            )
            return reference
        step_log("submit")(f"image: {sent / 1e6:,.1f} MB sent to {there.host}")
        return target.reference(digest)

    return bring


def data_in(project: Project, connection: Connection) -> Sequence[DataRecord]:
    """Brings the run's data sets to the bucket of a place; what is there already isn't sent again.

    Raises:
        DataError: A data set can't be sent or copied.
    """
    if not project.settings.data:
        return ()
    from ...tasks.data import data as data_step

    near = [_near(each, connection) if each.uri else each for each in project.settings.data]
    settings = replace(project.settings, data=tuple(near))
    there = Project(project.root, settings, project.files, project.fingerprint, project.size_report)
    return data_step.fn(there, connection).sets


def _near(setting: DataSetting, connection: Connection) -> DataSetting:
    """A data set of a bucket, copied to the place's bucket if it is in another region."""
    from ...datasets.bucket_copy import copy_data, needs_copy, plan_copy
    from ...datasets.bucket_objects import BucketObjects
    from ...vertex.client.bucket_access import bucket_access

    source = BucketObjects(bucket_access(connection, setting.uri.removeprefix("gs://").partition("/")[0]))
    if connection.endpoint.local or not needs_copy(source, connection.region):
        return setting
    planned = plan_copy(setting.name, setting.uri, source, connection.bucket, connection.region)
    step_log("submit")(f"data: {setting.name}: {planned}, to {planned.uri} in {connection.region}")
    copy_data(setting.uri, source, BucketObjects(bucket_access(connection, connection.bucket)), planned)
    return replace(setting, uri=planned.uri)
