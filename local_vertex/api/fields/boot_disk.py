"""The disk that a machine gets where the client names none."""

from __future__ import annotations

from ..schema import Generated

BOOT_DISK_GB = 100
_HYPERDISK_ONLY = ("a3-ultragpu-", "a4-", "a4x-")
"""Machines whose default is another kind of disk (comment of DiskSpec in the API)."""


def fill_in(disk: Generated, machine_type: str) -> None:
    """Sets the fields of a DiskSpec that are missing: the real service does that, and fills in nothing else."""
    if not disk.boot_disk_type:
        disk.boot_disk_type = "hyperdisk-balanced" if machine_type.startswith(_HYPERDISK_ONLY) else "pd-ssd"
    disk.boot_disk_size_gb = disk.boot_disk_size_gb or BOOT_DISK_GB
