"""`vertex-training data list|show|download|prune`: the data sets in the bucket of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ...core.errors import DataError
from ..load_blocks import load_vertex
from ..options import Json, VertexBlock
from ..output import print_json, print_message
from ..prefect_session import prefect_session

if TYPE_CHECKING:
    from ...datasets.bucket_objects import BucketObjects
    from ...datasets.retention import StoredData

data = App(name="data", help="The data sets in the bucket of jobs: list, show, download, delete what nobody needs.")

Dataset = Annotated[str, Parameter(help="The data set's ID, or its beginning.")]
_SHOWN = 20


@data.command(name="list")
def list_(*, vertex: VertexBlock = None, as_json: Json = False) -> None:
    """List the data sets, the newest first, with the number of receipts that name each."""
    from ...datasets.retention import list_data, read_manifest

    with _bucket(vertex) as bucket:
        found = [_plain(each, read_manifest(bucket, each)) for each in list_data(bucket)]
    if as_json:
        print_json(found)
        return
    _table(found)


@data.command
def show(dataset: Dataset, /, *, vertex: VertexBlock = None, as_json: Json = False) -> None:
    """Show a data set: its files, and the receipts that name it."""
    from ...datasets.data_plan import shown
    from ...datasets.retention import find_data, read_manifest

    with _bucket(vertex) as bucket:
        found = find_data(bucket, dataset)
        manifest = read_manifest(bucket, found)
    if as_json:
        files = [{"path": file.path, "bytes": file.size, "sha256": file.sha256} for file in manifest.files]
        print_json({**_plain(found, manifest), "receipts": list(found.receipts), "contents": files})
        return
    print(f"{found.dataset}\n{len(manifest.files):,} files, {shown(manifest.size)}, {found.mode}")
    for receipt in found.receipts:
        print(f"named by {receipt}")
    for file in manifest.files[:_SHOWN]:
        print(f"{file.size:>14,}  {file.path}")
    if len(manifest.files) > _SHOWN:
        print(f"... and {len(manifest.files) - _SHOWN:,} more: --json shows all")


@data.command
def download(
    dataset: Dataset,
    /,
    *,
    to: Annotated[Path, Parameter(help="The folder to write to; it must not exist, or be empty.")],
    vertex: VertexBlock = None,
) -> None:
    """Bring a data set to a folder of this machine; each file is checked by its SHA-256."""
    from ...datasets.data_download import download as fetch
    from ...datasets.retention import find_data

    with _bucket(vertex) as bucket:
        fetch(bucket, find_data(bucket, dataset), to, print_message)
    print(to)


@data.command
def prune(
    *,
    vertex: VertexBlock = None,
    keep_days: Annotated[
        float,
        Parameter(help="Days for which data sets are kept that no receipt names: a run may be about to use one."),
    ] = 30,
    delete: Annotated[bool, Parameter(help="Delete what is listed.")] = False,
    as_json: Json = False,
) -> None:
    """List what may be deleted: data sets that no receipt names, and parts of none; with `--delete`, delete it."""
    from ...datasets.data_plan import shown
    from ...datasets.retention import plan_prune
    from ...datasets.retention import prune as remove

    if keep_days < 0:
        raise DataError("the number of days is below 0", where="--keep-days", next_step="Give 0 or more")
    with _bucket(vertex) as bucket:
        plan = plan_prune(bucket, keep_days)
        if delete:
            remove(bucket, plan)
    ids = [each.dataset for each in plan.data]
    if as_json:
        print_json({"data": ids, "objects": len(plan.objects), "bytes": plan.size, "deleted": delete})
        return
    for each in ids:
        print(each)
    verb = "deleted" if delete else "may be deleted with --delete"
    print(f"{len(ids)} data sets, {len(plan.objects)} objects with {shown(plan.size)}: {verb}")


@contextmanager
def _bucket(vertex: str | None) -> Iterator[BucketObjects]:
    """The bucket of a VertexAI block, or of local_vertex."""
    with prefect_session():
        from ...flows.block_parameters import connect
        from ...tasks.data import open_bucket

        yield open_bucket(connect(load_vertex(vertex)))


def _plain(found: StoredData, manifest: Any) -> dict[str, Any]:  # noqa: ANN401 - its module is imported late
    return {
        "id": found.dataset,
        "mode": found.mode,
        "files": len(manifest.files),
        "bytes": manifest.size,
        "updated": found.manifest.updated,
        "receipts": len(found.receipts),
    }


def _table(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("ID", "mode", "files", "bytes", "uploaded", "receipts"):
        table.add_column(title, justify="right" if title in {"files", "bytes", "receipts"} else "left")
    for each in found:
        counts = f"{each['files']:,}", f"{each['bytes']:,}"
        table.add_row(each["id"][:12], each["mode"], *counts, each["updated"][:16], str(each["receipts"]))
    Console(width=None, highlight=False).print(table if found else "no data sets")
