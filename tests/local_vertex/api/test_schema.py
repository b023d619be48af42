"""The messages' classes stay."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

from prefect_vertex_training.local_vertex.api import schema


def test_classes_of_inner_messages_are_never_garbage(schema_cache: Path) -> None:
    """Also those of repeated messages: one that is collected while another thread needs it ends the process."""
    found = schema.load(schema_cache)
    job = found["google.cloud.aiplatform.v1.CustomJob"](labels={"a": "b"})
    job.job_spec.scheduling.timeout.seconds = 1
    inner = [job.job_spec, job.job_spec.scheduling.timeout, job.job_spec.worker_pool_specs.add().container_spec]
    classes = [weakref.ref(type(message)) for message in inner]
    job = inner = None
    gc.collect()

    assert all(each() is not None for each in classes)
