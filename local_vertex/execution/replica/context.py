"""What all jobs of an executor share."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from ...faults import Faults
from ...location import Location
from ...store.store import Store
from .image import Images
from .own_threads import OwnThreads
from .storage_access import StorageAccess


@dataclass(frozen=True, slots=True)
class Context:
    """What all jobs of an executor share.

    Attributes:
        store: Jobs and log entries.
        faults: Delays and failures to inject.
        location: The project and region that the service stands for.
        runs: The folder with one folder for each job that runs.
        buckets: The folder with one folder for each bucket.
        images: Finds images.
        threads: Runs calls that may hang, such as those to registries.
        storage: How replicas reach Cloud Storage.
        stopping: Set when the service ends: threads that still read output must store nothing more.
    """

    store: Store
    faults: Faults
    location: Location
    runs: Path
    buckets: Path
    images: Images
    threads: OwnThreads
    storage: StorageAccess
    stopping: threading.Event
