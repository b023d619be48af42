"""The buckets: folders, and what the API keeps about each of them."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ....core.atomic_files import write_atomic
from ..http.http_messages import StorageApiError
from ..http.storage_times import api_time
from .denied_permissions import denied
from .object_store import Preconditions

_FOLDER = re.compile(r"[a-z0-9][a-z0-9._-]*")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_MULTI_REGIONS = {"US", "EU", "ASIA"}
_KEPT_BY_SERVER = {"kind", "id", "selfLink", "etag", "generation", "metageneration", "timeCreated", "updated", "acl"}


class BucketStore:
    """The buckets.

    Args:
        buckets: The folder with one folder for each bucket.
        folder: Where the buckets' metadata lie.
        project_number: Of the project that all buckets belong to.
        location: Location of buckets for which nothing else was said, as "US-CENTRAL1".
    """

    def __init__(self, buckets: Path, folder: Path, project_number: str, location: str) -> None:
        self._buckets = buckets
        self._folder = folder
        self._project_number = project_number
        self._location = location
        self._lock = threading.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def names(self) -> list[str]:
        """All buckets, sorted."""
        return sorted(entry.name for entry in os.scandir(self._buckets) if entry.is_dir(follow_symlinks=False))

    def require(self, name: str) -> None:
        """Raises `StorageApiError` (404) unless the bucket exists."""
        if not _FOLDER.fullmatch(name) or not _is_folder(f"{self._buckets}/{name}"):
            raise StorageApiError(404, "The specified bucket does not exist.")

    def get(self, name: str) -> dict[str, Any]:
        """A bucket's metadata, as the API shows it, without links.

        Raises:
            StorageApiError: There is no such bucket (404).
        """
        self.require(name)
        try:
            kept = json.loads((self._folder / f"{name}.json").read_text())
        except (OSError, ValueError):
            kept = {}
        created = int((self._buckets / name).stat().st_ctime * 1e6)
        location = str(kept.get("location") or self._location).upper()
        return {
            "location": location,
            "locationType": "multi-region" if location in _MULTI_REGIONS else "region",
            "storageClass": "STANDARD",
            "iamConfiguration": {
                "bucketPolicyOnly": {"enabled": True},
                "uniformBucketLevelAccess": {"enabled": True},
                "publicAccessPrevention": "inherited",
            },
            "metageneration": "1",
            "generation": str(kept.get("created", created)),
            "timeCreated": api_time(int(kept.get("created", created))),
            "updated": api_time(int(kept.get("changed", kept.get("created", created)))),
            "projectNumber": self._project_number,
            **{key: value for key, value in kept.items() if key not in {"created", "changed", "location"}},
            "name": name,
        }

    def create(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Creates a bucket.

        Raises:
            StorageApiError: The name is invalid (400), or taken (409).
        """
        name = str(values.get("name") or "")
        if not _NAME.fullmatch(name) or ".." in name:
            raise StorageApiError(400, f"Invalid bucket name: '{name}'")
        with self._lock:
            try:
                (self._buckets / name).mkdir()
            except FileExistsError as error:
                text = "Your previous request to create the named bucket succeeded and you already own it."
                raise StorageApiError(409, text) from error
            (self._buckets / name).chmod(0o777)
            now = time.time_ns() // 1000
            self._write(name, {**_own(values), "location": values.get("location") or "US", "created": now})
        return self.get(name)

    def update(
        self, name: str, values: Mapping[str, Any], conditions: Preconditions, *, replace: bool
    ) -> dict[str, Any]:
        """Changes a bucket's metadata; None removes a field.

        Raises:
            StorageApiError: There is no such bucket (404), or a precondition does not hold (412).
        """
        with self._lock:
            found = self.get(name)
            wanted = conditions.metageneration
            if wanted is not None and wanted != int(found["metageneration"]):
                raise StorageApiError(412, "At least one of the pre-conditions you specified did not hold.")
            kept = {"location": found["location"]} if replace else _own(found)
            for key, value in _own(values).items():
                if key in {"labels", "iamConfiguration"} and isinstance(value, dict):
                    value = {k: v for k, v in {**kept.get(key, {}), **value}.items() if v is not None}  # noqa: PLW2901 - merged
                kept[key] = value
            kept = {key: value for key, value in kept.items() if value is not None}
            kept["metageneration"] = str(int(found["metageneration"]) + 1)
            kept |= {"created": int(found["generation"]), "changed": time.time_ns() // 1000}
            self._write(name, kept)
        return self.get(name)

    def policy(self, name: str) -> dict[str, Any]:
        """A bucket's policy; empty where nobody set one.

        Raises:
            StorageApiError: There is no such bucket (404).
        """
        self.require(name)
        try:
            return json.loads(self._policy_file(name).read_bytes())
        except (OSError, ValueError):
            return {}

    def set_policy(self, name: str, policy: Mapping[str, Any]) -> None:
        """Replaces a bucket's policy.

        Raises:
            StorageApiError: There is no such bucket (404).
        """
        self.require(name)
        write_atomic(self._policy_file(name), json.dumps(policy))

    def held(self, asked: Sequence[str]) -> list[str]:
        """Those of some rights that the caller has: all but the denied ones."""
        lacking = denied(self._folder.parent)
        return [name for name in asked if name not in lacking]

    def _policy_file(self, name: str) -> Path:
        return self._folder / f"{name}.policy"

    def delete(self, name: str) -> None:
        """Forgets an empty bucket; the caller has made sure that it is empty."""
        from shutil import rmtree

        with self._lock:
            self.require(name)
            rmtree(self._buckets / name)
            (self._folder / f"{name}.json").unlink(missing_ok=True)
            self._policy_file(name).unlink(missing_ok=True)

    def _write(self, name: str, values: Mapping[str, Any]) -> None:
        write_atomic(self._folder / f"{name}.json", json.dumps(values))


def _is_folder(path: str) -> bool:
    """Whether it is a folder, and no link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _own(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in _KEPT_BY_SERVER}
