"""`vertex-training download`: brings a model to a folder, and checks every file against its receipt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ...core.metering.meter import Meters, StepSource
from ...core.metering.reading import amount, file_count
from ..display.progress_display import ProgressDisplay
from ..options import Json, VertexBlock
from ..output import print_json
from ..past_runs.find_runs import place_of_jobs

if TYPE_CHECKING:
    from ...vertex.receipt.model_download import Downloaded
    from ...vertex.receipt.recorded_model import RecordedModel


def download(
    model: Annotated[
        str, Parameter(help="The run's id (or its beginning), its job, or the model's place, as `models` shows them.")
    ],
    folder: Annotated[Path, Parameter(help="Where to: a folder that is new, empty, or holds a part of this model.")],
    /,
    *,
    vertex: VertexBlock = None,
    as_json: Json = False,
) -> None:
    """Download a model to FOLDER; every file is checked against the receipt that its run wrote.

    Files that are there are not fetched again, and a file that was cut off is continued. Nothing is overwritten.
    """
    with place_of_jobs(vertex) as connection:
        from ...vertex.receipt.find_model import find_model
        from ...vertex.receipt.model_download import download as engine

        found = find_model(connection, model, cloud=vertex is not None)
        meters = Meters()
        assert connection is not None
        with ProgressDisplay(StepSource("download", "looking at the folder", meters)):
            done = engine(connection.models, found, folder.expanduser(), meters=meters)
    if as_json:
        print_json(_plain(found, done))
        return
    there = len(found.files) - len(done.fetched)
    print(
        f"{file_count(len(found.files))}, {amount(found.size)} in {done.folder}; "
        "each has the size and SHA-256 of the receipt" + (f"; {there} were there" if there else "")
    )


def _plain(model: RecordedModel, done: Downloaded) -> dict[str, object]:
    return {
        "run": model.run,
        "folder": str(done.folder.absolute()),
        "bytes": model.size,
        "files": [{"path": file.path, "bytes": file.size, "sha256": file.sha256} for file in model.files],
        "fetched": list(done.fetched),
    }
