"""The folders that a job is told of, in the two forms that scripts can use.

Vertex AI names them as gs:// URIs, in `AIP_MODEL_DIR` and its like, and mounts every bucket below /gcs
(https://cloud.google.com/vertex-ai/docs/training/code-requirements). What doesn't speak gs:// needs the second form.
"""

from __future__ import annotations

_FOLDERS = {"MODEL": "model", "CHECKPOINT": "checkpoints", "LOG": "logs"}


def mounted(uri: str) -> str:
    """Where a job finds `gs://BUCKET/PATH` as files: `/gcs/BUCKET/PATH`."""
    return f"/gcs/{uri.removeprefix('gs://')}"


def folder_variables(output: str) -> dict[str, str]:
    """`VERTEX_TRAINING_MODEL_DIR`, `..._CHECKPOINT_DIR` and `..._LOG_DIR`: the job's folders as paths.

    Args:
        output: The job's `gs://BUCKET/PREFIX`.
    """
    root = mounted(output).rstrip("/")
    return {f"VERTEX_TRAINING_{name}_DIR": f"{root}/{folder}" for name, folder in _FOLDERS.items()}
