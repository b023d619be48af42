"""What showing progress costs a build: the same build with nobody looking, and with bars and the UI's artifact.

    python benchmarks/images/progress_cost.py [ROUNDS]

The project: 5,000 files, 201 MB, numpy and scikit-learn. Each build makes all layers anew and copies them to a second
image layout, which is faster than any registry: there progress costs most. The ways alternate, and processor seconds
are compared, since the clock also shows what else the machine does.
"""

from __future__ import annotations

import os
import pty
import resource
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from prefect_vertex_training.cli.display.progress_display import ProgressDisplay
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.core.metering.meter import Meter, Meters
from prefect_vertex_training.images import build
from prefect_vertex_training.images.oci.image_types import ImageRequest
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.project.dependencies.freeze import freeze
from prefect_vertex_training.project.snapshot import Project as Snapshot
from prefect_vertex_training.tasks.reporting import progress as reporting
from projects import make

ROUNDS = 7


@contextmanager
def uncounted() -> Iterator[None]:
    """Builds as if nothing was counted at all."""
    with mock.patch.object(Meter, "change", return_value=None):
        yield


@contextmanager
def unwatched() -> Iterator[None]:
    """Builds that count, and nobody looks."""
    yield


@contextmanager
def watched() -> Iterator[None]:
    """Builds with bars on a terminal of 80 columns, and a thread that writes the artifact's text."""
    master, slave = pty.openpty()
    threading.Thread(target=_drain, args=(master,), daemon=True).start()
    with os.fdopen(slave, "w") as stream:
        progress = reporting.Progress()
        with (
            mock.patch.dict(os.environ, {"TERM": "xterm-256color", "COLUMNS": "80"}),
            mock.patch.object(reporting, "create_progress_artifact", return_value=None),
            ProgressDisplay(progress, stream=stream),
        ):
            progress.begin("build")
            with reporting.shown(progress):
                yield
            progress.finish()


def _drain(master: int) -> None:
    while True:
        try:
            if not os.read(master, 65536):
                return
        except OSError:
            return


WAYS: dict[str, Callable[[], object]] = {"nothing counted": uncounted, "counted": unwatched, "shown": watched}


def measure(way: Callable[[], object], request: ImageRequest, folder: Path) -> tuple[float, float]:
    """Seconds and processor seconds of one build, in a cache that holds nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    before, begin = _processor(), time.perf_counter()
    with way():  # pyright: ignore[reportGeneralTypeIssues]
        current = reporting.current()
        meters = current.meters if current else Meters()
        target = OciLayout(folder / "target", request.name)
        build.build(
            request, OciLayout(folder / "images", request.name), cache=folder / "cache", upload_to=target, meters=meters
        )
    return time.perf_counter() - begin, _processor() - before


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(rounds: int) -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        project = make("b", root)
        snapshot = Snapshot.open(project.folder, Home(root / "home"))
        lock = freeze(project.folder, snapshot.settings, cache=root / "locks")
        request = ImageRequest(
            name="progress",
            root=project.folder,
            files=snapshot.files,
            script=snapshot.settings.script,
            lock=lock.text,
            python=snapshot.settings.python,
            fingerprint="f" * 64,
        )
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for _ in range(rounds + 1):  # the first round warms the disk's cache, and is dropped
            for way, context in WAYS.items():
                found[way].append(measure(context, request, root / "work"))
    base = statistics.median(cpu for _, cpu in found["nothing counted"][1:])
    print(f"{'':<16} {'seconds':>8} {'processor':>10} {'more':>7}")
    for way, times in found.items():
        wall, cpu = (statistics.median(column) for column in zip(*times[1:], strict=True))
        print(f"{way:<16} {wall:8.2f} {cpu:10.2f} {100 * (cpu / base - 1):6.1f} %")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
