"""What all jobs of a service share."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path

from ..faults import Switches
from ..store.store import Store
from .image import Images
from .info import ServiceInfo
from .log_stream import Tails
from .process.rootfs import Trees
from .process.supervisor_client import Supervision


@dataclass(frozen=True, slots=True)
class Context:
    """The parts that a job is run with.

    Attributes:
        store: Jobs and lines.
        switches: What a test or a lesson has turned.
        info: Project and region.
        runs: Holds a folder for each job that is being run.
        buckets: Holds a folder for each bucket.
        images: Finds images.
        trees: Unpacked images.
        supervision: Starts processes.
        tails: Follows their output.
        garbage: Folders that somebody removes soon.
        bringing: Held while a Docker engine gets an image: who waits for it must not use up threads.
        left: Set when the service ends: threads that are still reading must store nothing more.
    """

    store: Store
    switches: Switches
    info: ServiceInfo
    runs: Path
    buckets: Path
    images: Images
    trees: Trees
    supervision: Supervision
    tails: Tails
    garbage: list[Path]
    bringing: asyncio.Lock
    left: threading.Event
