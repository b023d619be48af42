"""What is said of data sets before anything is sent: files, bytes, what is new, time, cost and place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..core.errors import DataError
from .data_record import DataRecord
from .prepare import Prepared

_DOLLARS_PER_GB_MONTH = 0.02
"""Standard storage in most single regions, https://cloud.google.com/storage/pricing; some cost up to half more."""
_UPLINK = 75e6 / 8
"""Bytes a second of a common connection."""
_IMAGE_GB = 20.0
"""Room on the job's disk for the system, the image and what the script writes."""
_INODE_BYTES = 16_384
"""Bytes of disk for each inode, as ext4 is made by default."""


def lines(prepared: Iterable[Prepared], bucket: str, region: str, *, local: bool) -> Iterator[str]:
    """One line for each data set."""
    for each in prepared:
        new = each.new
        new_size = sum(file.size for file in new)
        text = f"data: {each.data.name}: {len(each.files):,} files, {shown(each.size)}, {each.mode}"
        if not new:
            yield f"{text}; nothing new"
            continue
        text += f"; new: {len(new):,} files, {shown(new_size)}"
        if not local:
            text += f", about {_duration(new_size / _UPLINK)} at 75 Mbit/s"
            cost = each.size / 1e9 * _DOLLARS_PER_GB_MONTH
            text += f"; {cost:.2f} dollars a month in gs://{bucket} ({region})"
        yield text


def check_disk(prepared: Iterable[Prepared], boot_disk_gb: int, sources: Iterable[DataRecord] = ()) -> None:
    """Checks that what is copied has room on the job's disk, before anything is paid.

    Args:
        prepared: Data of this machine.
        boot_disk_gb: The disk.
        sources: Data that lay in a bucket already.

    Raises:
        DataError: It has not.
    """
    copied = [(each.size, len(each.files), str(each.data.root)) for each in prepared if each.mode == "copy"]
    copied += [(each.size, each.files, each.uri) for each in sources if each.mode == "copy"]
    size = sum(each[0] for each in copied)
    count = sum(each[1] for each in copied)
    if not copied:
        return
    needed = max(size / 1e9 + _IMAGE_GB, count * _INODE_BYTES / 1e9)
    if needed <= boot_disk_gb:
        return
    raise DataError(
        f"{count:,} files with {shown(size)} are copied to a disk of {boot_disk_gb} GB, which is too small",
        where=max(copied)[2],
        next_step=f'Set boot-disk-gb = {int(needed) + 1} under [tool.vertex-training], or mode = "mount" for the data',
    )


def shown(size: float) -> str:
    """Bytes for people."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size:.0f} bytes"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{max(seconds / 60, 1):.0f} min"
