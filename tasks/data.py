"""The step `data`: makes sure that a run's data sets are in the job's bucket, each once, by content."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from ..core.home import Home
from ..datasets.bucket_objects import BucketObjects
from ..datasets.bucket_source import describe_source, in_bucket
from ..datasets.data_files import DataFile
from ..datasets.data_plan import check_disk, lines, shown
from ..datasets.data_record import DataRecord, DataRecords
from ..datasets.data_upload import content_id, upload
from ..datasets.manifest import manifest_object, tree_object
from ..datasets.prepare import LocalData, Prepared, check_limit, prepare
from ..project.secret_policy import refuse_secrets_in_data
from ..project.snapshot import Project
from ..vertex.client.bucket_access import bucket_access
from ..vertex.client.connection import Connection
from .reporting.artifacts import artifact_key, optional_display
from .reporting.step_log import step_log
from .retry_policy import STEP
from .step_results import step_result

if TYPE_CHECKING:
    from ..project.settings.data_settings import DataSetting


@task(
    name="data",
    cache_policy=NO_CACHE,
    result_serializer=step_result("datasets.data_record.DataRecords"),
    **STEP,
)
def data(project: Project, connection: Connection) -> DataRecords:
    """Uploads what is new of each data set; checks those that lie in a bucket already.

    Raises:
        DataError: A data set can't be read or sent, is too large, or lies in another region.
        ProjectError: A file of it looks like a secret.
    """
    log = step_log("data")
    prepared = _checked(project, connection.bucket)
    sent = {each.data.name: _sent(each, open_bucket(connection)) for each in prepared}
    records: list[DataRecord] = []
    for setting in project.settings.data:
        if setting.path:
            records.append(sent[setting.name])
        else:
            bucket = setting.uri.removeprefix("gs://").partition("/")[0]
            source = BucketObjects(bucket_access(connection, bucket))
            region, mode = connection.region, setting.mode
            records.append(describe_source(setting.name, setting.uri, source, region, mode=mode, place=setting.place))
    check_disk(prepared, project.settings.job.machine.boot_disk_gb, [each for each in records if not each.manifest])
    for record in records:
        log(f"data: {record.name}: {record.id[:12]}, {record.files:,} files, {shown(record.size)}")
    with optional_display():
        create_markdown_artifact(_table(records), key=artifact_key("data"), description="The data sets of the run")
    return DataRecords(records)


class UploadAhead:
    """Sends the data sets of a run while the image is built; the step `data` then finds them in the bucket.

    Attributes:
        sent: Objects and bytes that were sent, by the data set's name.

    What it can't send is left to the step, which reports the error and is retried.

    Args:
        project: The project.
        connection: Where the job will run.

    Raises:
        DataError: A data set can't be read, is too large, or has no room on the job's disk.
        ProjectError: A file of it looks like a secret.
    """

    def __init__(self, project: Project, connection: Connection) -> None:
        self._log = step_log("data")
        prepared = _checked(project, connection.bucket)
        local = connection.endpoint.local
        for line in lines(prepared, connection.bucket, connection.region, local=local):
            self._log(line)
        self.sent: dict[str, tuple[int, int]] = {}
        self._prepared = prepared
        self._objects = open_bucket(connection)
        self._thread = threading.Thread(target=self._run, name="data", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(Exception):  # the step does it again, and says what is wrong
            for each in self._prepared:
                done = upload(each, self._objects)
                self.sent[each.data.name] = (done.sent_objects, done.sent_bytes)

    def wait(self) -> None:
        """Waits until everything was sent that could be."""
        self._thread.join()
        for name, (objects, size) in self.sent.items():
            self._log(f"data: {name}: {objects:,} objects with {shown(size)} sent")


def _checked(project: Project, bucket: str) -> list[Prepared]:
    """The data sets of this machine, after all that can be checked without reading or sending them."""
    settings, cache = project.settings, Home.default().cache
    here = [_local(each, project) for each in settings.data if each.path]
    prepared = [prepare(each, bucket, cache) for each in here]
    for each in prepared:
        _refuse_secrets(each, project)
    check_limit(prepared, settings.data_limit_gb)
    check_disk(prepared, settings.job.machine.boot_disk_gb)
    return prepared


def open_bucket(connection: Connection) -> BucketObjects:
    """The bucket of a connection's jobs.

    Raises:
        LocalServiceError: The storage server can't be started.
        VertexError: There are no credentials.
    """
    return BucketObjects(bucket_access(connection, connection.bucket))


def _local(setting: DataSetting, project: Project) -> LocalData:
    mode = setting.mode or None
    return LocalData(setting.name, setting.path, setting.root(project.root), setting.include, mode)  # pyright: ignore[reportArgumentType]


def _refuse_secrets(prepared: Prepared, project: Project) -> None:
    def located(files: list[DataFile]) -> dict[str, str]:
        return {f"{prepared.data.path}/{file.path}".rstrip("/"): file.location for file in files}

    refuse_secrets_in_data(located(prepared.files), located(prepared.new), project.settings, cache=Home.default().cache)


def _sent(prepared: Prepared, objects: BucketObjects) -> DataRecord:
    return _record(prepared, upload(prepared, objects).dataset, objects.bucket)


def _record(prepared: Prepared, dataset: str, bucket: str) -> DataRecord:
    manifest = manifest_object(dataset, prepared.mode)
    single = prepared.files[0].path == ""
    tree = tree_object(dataset, "").removesuffix("" if single else "/file")
    place = tree if prepared.mode == "mount" else manifest
    return DataRecord(
        name=prepared.data.name,
        id=dataset,
        mode=prepared.mode,
        files=len(prepared.files),
        size=sum(file.size for file in prepared.files),
        path=prepared.data.path,
        bucket=bucket,
        manifest=manifest,
        mounted=f"/gcs/{bucket}/{place}",
        uri=f"gs://{bucket}/{place}",
    )


def planned_records(project: Project, bucket: str) -> list[DataRecord]:
    """The records that the step will make, as far as they are known without the bucket; nothing is sent.

    Of data that lies in a bucket already, the number of files and their size are left out.

    Args:
        project: The project.
        bucket: The bucket of the job.

    Raises:
        DataError: A data set can't be read, is too large, or has no room on the job's disk.
        ProjectError: A file of it looks like a secret.
    """
    here = {each.data.name: _record(each, content_id(each), bucket) for each in _checked(project, bucket)}
    return [
        here[each.name] if each.path else in_bucket(each.name, each.uri, each.mode, each.place)
        for each in project.settings.data
    ]


def _table(records: list[DataRecord]) -> str:
    rows = "\n".join(
        f"| {each.name} | `{each.id[:12]}` | {each.files:,} | {each.size:,} | {each.mode} | `{each.uri}` |"
        for each in records
    )
    return f"| data set | ID | files | bytes | mode | place |\n|---|---|---:|---:|---|---|\n{rows}\n"
