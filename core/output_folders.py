"""The folders of a job's output, and the variables in which a script finds them.

Vertex AI names them as gs:// URIs, in `AIP_MODEL_DIR` and its like, and mounts every bucket below /gcs
(https://cloud.google.com/vertex-ai/docs/training/code-requirements). A script that can't use gs:// needs paths, which
`VERTEX_TRAINING_MODEL_DIR` and its like hold.
"""

from __future__ import annotations

from collections.abc import Mapping

MODEL = "model"
CHECKPOINTS = "checkpoints"
LOGS = "logs"
RECEIPT = "receipt.json"
"""The receipt's file, beside the folders."""

_URI_VARIABLES = {"AIP_MODEL_DIR": MODEL, "AIP_CHECKPOINT_DIR": CHECKPOINTS, "AIP_TENSORBOARD_LOG_DIR": LOGS}
_PATH_VARIABLES = {
    "VERTEX_TRAINING_MODEL_DIR": MODEL,
    "VERTEX_TRAINING_CHECKPOINT_DIR": CHECKPOINTS,
    "VERTEX_TRAINING_LOG_DIR": LOGS,
}


def bucket_folder_uri(bucket: str, *parts: str) -> str:
    """`gs://BUCKET/PART/...` of a folder in a bucket."""
    return "/".join((f"gs://{bucket}", *parts))


def run_output(folder: str, run: str) -> str:
    """The output of one run: a folder of its own in `folder`."""
    return _below(folder, run)


def model_folder(output: str) -> str:
    """The folder in a job's output that holds its model."""
    return _below(output, MODEL)


def receipt_file(output: str) -> str:
    """The file in a job's output that holds its receipt."""
    return _below(output, RECEIPT)


def folder_uris(output: str) -> list[str]:
    """The gs:// URI of every folder that Vertex AI names to the job."""
    return [_below(output, folder) for folder in _URI_VARIABLES.values()]


def mounted_path(uri: str) -> str:
    """The path under which a job finds `gs://BUCKET/PATH`: `/gcs/BUCKET/PATH`."""
    return f"/gcs/{uri.removeprefix('gs://')}"


def platform_variables(output: str) -> Mapping[str, str]:
    """`AIP_MODEL_DIR`, `AIP_CHECKPOINT_DIR` and `AIP_TENSORBOARD_LOG_DIR`, with Vertex AI's slash at the end.

    Args:
        output: The job's `gs://BUCKET/PREFIX`, or a folder that stands for it.
    """
    return {name: f"{_below(output, folder)}/" for name, folder in _URI_VARIABLES.items()}


def path_variables(output: str) -> Mapping[str, str]:
    """`VERTEX_TRAINING_MODEL_DIR`, `VERTEX_TRAINING_CHECKPOINT_DIR` and `VERTEX_TRAINING_LOG_DIR`.

    Args:
        output: The job's output as a path: from `mounted_path`, or a folder of this machine.
    """
    return {name: _below(output, folder) for name, folder in _PATH_VARIABLES.items()}


def _below(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"
