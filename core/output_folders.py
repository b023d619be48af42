"""The folders of a job's output, and the variables in which a script finds them.

Vertex AI names them as gs:// URIs, in `AIP_MODEL_DIR` and its like, and mounts every bucket below /gcs
(https://cloud.google.com/vertex-ai/docs/training/code-requirements). A script that can't use gs:// needs paths, which
`VERTEX_TRAINING_MODEL_DIR` and its like hold.

A person may also write an output in a bucket into the arguments or variables, as `--model-dir=gs://BUCKET/DIR`. In a
job it stays as it is. The local run replaces it by a folder of this machine, and a receipt looks there for the model if
the job's own folder holds none.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

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

_KINDS = (
    "model|outputs?|out|saved?|checkpoints?|ckpt|export|logs?|logging|job|tensorboard|results?|artifacts?|run|work|root"
    "|dest|destination|target"
)
_OUTPUT = re.compile(rf"(?:[a-z0-9]+[-_.])*(?:{_KINDS})(?:[-_.]?(?:dir|path|folder|directory|uri|url|to|file|root))?|o")
_INPUT = re.compile(
    r"(?:^|[-_.])(?:pretrained|base|init|initial|resume|from|load|input|data|dataset|train|eval|test)(?:$|[-_.])"
)
_WRITES = frozenset(
    ["output", "outputs", "out", "save", "saved", "export", "exports", "dump", "write", "dest", "artifacts"]
)
_READS = frozenset(["pretrained", "init", "initial", "resume", "from", "load", "input", "inputs", "restore", "source"])
_PLACES = frozenset(
    ["dir", "path", "folder", "directory", "uri", "url", "to", "file", "root", "prefix", "location", "bucket"]
)
"""Words of names: what is written wins over whose it is, as in SageMaker's `output_data_dir` or `train_output`."""
_FILE = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,9}$")
_IMPORTANCE = ("model", "export", "out", "save", "artifact", "result", "job", "checkpoint", "ckpt")
"""Parts of names, the likeliest place of a model first."""
_ASSIGNMENT = re.compile(r"(?P<name>[+~]{0,2}[A-Za-z_][\w.@/-]*)=(?P<value>(?:gs://|/gcs/).*)", re.DOTALL)


def bucket_folder_uri(bucket: str, *parts: str) -> str:
    """`gs://BUCKET/PART/...` of a folder in a bucket."""
    return "/".join((f"gs://{bucket}", *parts))


def run_output(folder: str, run: str) -> str:
    """The output of one run: a folder of its own in `folder`."""
    return _below(folder, run)


def model_folder(output: str) -> str:
    """The folder in a job's output that holds its model."""
    return _below(output, MODEL)


def checkpoint_folder(output: str) -> str:
    """The folder in a job's output for its checkpoints, the same for all attempts at a request."""
    return _below(output, CHECKPOINTS)


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


class LiteralOutput(NamedTuple):
    """An output in a bucket, as an argument or a variable gives it.

    Attributes:
        position: Position of the argument, from 0; -1 for a variable.
        name: The option, key or variable that gives it, without dashes; empty for a bare argument.
        before: What stands before the address in the same argument, as `--model-dir=`.
        address: `gs://BUCKET/PATH` or `/gcs/BUCKET/PATH`, as written.
    """

    position: int
    name: str
    before: str
    address: str

    @property
    def file(self) -> str:
        """The file's name, if the address is that of a file; else empty."""
        name = posixpath.basename(self.address.rstrip("/"))
        return name if _FILE.search(name) else ""

    @property
    def folder(self) -> str:
        """`gs://BUCKET/PATH` of the folder."""
        uri = f"gs://{self.address.removeprefix('gs://').removeprefix('/gcs/').strip('/')}"
        return uri.removesuffix(f"/{self.file}") if self.file else uri


def in_bucket(text: str) -> bool:
    """Whether the text is an address in a bucket."""
    return text.startswith(("gs://", "/gcs/"))


def is_output(name: str) -> bool:
    """Whether an option, a key or a variable of this name gives an output, not an input."""
    plain = name.lstrip("-+~").lower()
    if _OUTPUT.fullmatch(plain) and not _INPUT.search(plain):
        return True
    last = re.split(r"[-_./]", plain)[-1]
    return _is_written(plain) and last in _WRITES | _PLACES


def _takes_output(name: str) -> bool:
    """Whether an address in a bucket under this name is an output's."""
    return is_output(name) or _is_written(name.lstrip("-+~").lower())


def _is_written(plain: str) -> bool:
    words = set(re.split(r"[-_./]", plain))
    return bool(words & _WRITES) and not words & _READS


def literal_outputs(
    args: Sequence[str], positional: Sequence[str] = (), flags: Sequence[str] = ()
) -> Iterator[LiteralOutput]:
    """The outputs in a bucket among the arguments, in their order.

    Args:
        args: The arguments: `--model-dir=gs://...`, `--model-dir gs://...`, `key=gs://...` or a bare address.
        positional: Names of the script's positional arguments, if known; by these a bare address is told apart.
        flags: Options that give outputs, whatever their name.
    """
    flag, bare = "", 0
    for index, argument in enumerate(args):
        given = _ASSIGNMENT.fullmatch(argument.lstrip("-"))
        if given and (_takes_output(given["name"]) or argument.partition("=")[0] in flags):
            yield _output(index, given["name"], argument, given["value"])
        elif in_bucket(argument):
            name = flag or (positional[bare] if bare < len(positional) else "")
            if name and (_takes_output(name) or flag in flags):
                yield _output(index, name, argument, argument)
        if not argument.startswith("-") and not flag:
            bare += 1
        flag = argument if argument.startswith("-") and "=" not in argument else ""


def _output(position: int, name: str, argument: str, address: str) -> LiteralOutput:
    return LiteralOutput(position, name.lstrip("-+~"), argument.removesuffix(address), address)


def variable_outputs(env: Mapping[str, str]) -> Iterator[LiteralOutput]:
    """The outputs in a bucket among variables."""
    for name, value in env.items():
        if in_bucket(value) and _takes_output(name):
            yield LiteralOutput(-1, name, "", value)


def bare_addresses(args: Sequence[str]) -> Iterator[LiteralOutput]:
    """Addresses that stand alone, without an option before them."""
    for index, argument in enumerate(args):
        if in_bucket(argument) and not (index and args[index - 1].startswith("-") and "=" not in args[index - 1]):
            yield LiteralOutput(index, "", "", argument)


def likeliest_first(found: Sequence[LiteralOutput]) -> list[LiteralOutput]:
    """The outputs, the likeliest place of the model first; logs last."""

    def rank(output: LiteralOutput) -> int:
        name = output.name.lower()
        return next((i for i, part in enumerate(_IMPORTANCE) if part in name), len(_IMPORTANCE))

    return sorted(found, key=rank)
