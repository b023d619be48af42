"""How the data engine reaches a bucket of a connection: the service's address, and access tokens."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...datasets.bucket_objects import GOOGLE, BucketAccess
from .connection import Connection
from .endpoints import GoogleEndpoint, LocalEndpoint

if TYPE_CHECKING:
    from google.auth.credentials import Credentials


def bucket_access(connection: Connection, bucket: str) -> BucketAccess:
    """The access to a bucket; for local_vertex the storage server, which is started if necessary.

    Raises:
        LocalServiceError: The storage server can't be started.
        VertexError: There are no credentials.
    """
    endpoint = connection.endpoint
    if isinstance(endpoint, LocalEndpoint) and endpoint.buckets is not None:
        from ...local_vertex.storage.storage_service import ensure_running

        return BucketAccess(bucket, ensure_running(endpoint.buckets.parent).url)
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    if emulator:
        return BucketAccess(bucket, emulator.rstrip("/") if "://" in emulator else f"http://{emulator}")
    if isinstance(endpoint, GoogleEndpoint):
        return BucketAccess(bucket, GOOGLE, _tokens(endpoint.credentials()))
    return BucketAccess(bucket)


def _tokens(credentials: Credentials) -> Callable[[], str]:
    """Returns valid access tokens; threads may share it."""
    lock = threading.Lock()

    def token() -> str:
        with lock:
            if not credentials.valid:
                from google.auth.transport.requests import Request

                credentials.refresh(Request())
            return str(credentials.token)

    return token
