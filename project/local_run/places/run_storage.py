"""Where a local run saves what it writes: a folder, or a bucket of this machine with the names that a job has."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....core.bucket_mount.mounted_command import can_mount, mounted_command
from ....local_vertex.storage import storage_service
from ....local_vertex.storage.client_environment import make_credentials, storage_variables, without_proxy

_BUCKET = "local-run"
_NAMED = re.compile(r"gs://([a-z0-9][a-z0-9._-]*[a-z0-9])")
_PROJECT = "local"


@dataclass(frozen=True, slots=True)
class RunStorage:
    """The place of one local run.

    Attributes:
        outputs: The folder with what it writes.
        path: The same as a path for the script: below /gcs, as in a job, where this machine can show it there.
        uri: The same as a gs:// URI; the path where the script reaches the real buckets, or can't have /gcs.
        variables: Variables that lead clients of Cloud Storage to this machine.
        buckets: The folder with all buckets; None where the script reaches the real ones.
        root: An empty folder for the script's own root folder.
    """

    outputs: Path
    path: str
    uri: str
    variables: Mapping[str, str]
    buckets: Path | None
    root: Path

    def command(self, words: Sequence[str]) -> list[str]:
        """The command line with which a program sees the buckets below /gcs."""
        if self.buckets is None or not can_mount() or shutil.which(words[0]) is None:
            return list(words)
        self.root.mkdir(exist_ok=True)
        return mounted_command(words, self.buckets, self.root)

    def shown(self, place: Path, address: str) -> str:
        """A place in `outputs` in the form of an address: as a URI for a gs:// URI, else as a path."""
        rest = place.relative_to(self.outputs).as_posix()
        return f"{self.uri if address.startswith('gs://') else self.path}/{rest}"

    def make_buckets(self, texts: Iterable[str]) -> None:
        """Makes the buckets that the script names: in the cloud they exist."""
        if self.buckets is not None:
            for name in {name for text in texts for name in _NAMED.findall(text)}:
                (self.buckets / name).mkdir(parents=True, exist_ok=True)

    def remove(self) -> None:
        """Removes what the run has written."""
        shutil.rmtree(self.outputs, ignore_errors=True)


def folder_storage(folder: Path) -> RunStorage:
    """A folder alone, for a script that reaches the real buckets.

    Args:
        folder: The run's folder.
    """
    outputs = folder / "outputs"
    return RunStorage(outputs, str(outputs), str(outputs), {}, None, folder / "root")


def bucket_storage(folder: Path, vertex: Path, env: Mapping[str, str]) -> RunStorage:
    """A bucket of this machine; the storage server is started if necessary.

    Args:
        folder: The run's folder.
        vertex: The home's folder of local_vertex.
        env: The script's variables.

    Raises:
        LocalServiceError: The storage server can't be started.
    """
    service = storage_service.ensure_running(vertex)
    credentials = make_credentials(service.folder, service.url, _PROJECT)
    outputs = vertex / "buckets" / _BUCKET / folder.name
    variables = {
        **storage_variables(service.url, str(credentials), _PROJECT),
        **without_proxy(env, storage_service.LOOPBACK),
        # gcloud and gsutil have credentials of their own, which are out of reach in another folder.
        "CLOUDSDK_CONFIG": str(folder / "gcloud"),
        "BOTO_CONFIG": "/dev/null",
    }
    place = f"{_BUCKET}/{folder.name}"
    # Without /gcs, a script that turns the URI into a path below it would write into the machine's own root.
    path, uri = (f"/gcs/{place}", f"gs://{place}") if can_mount() else (str(outputs), str(outputs))
    return RunStorage(outputs, path, uri, variables, vertex / "buckets", folder / "root")
