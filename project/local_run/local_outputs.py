"""The setting `outputs` in the local run: what the script writes in its own place becomes the model, as in the job."""

from __future__ import annotations

import json
import posixpath
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ...core.errors import VerifyError
from ...runtime.output_copy import CopyFailed, OutputCopy
from ...runtime.output_files import find, signatures
from ...runtime.output_patterns import OutputPatterns

_SUGGESTED = 3
_KINDS = ("model", "output", "out", "save", "export", "result", "results", "checkpoint", "ckpt", "job", "work", "run")
_OUTPUT_FLAG = re.compile(
    rf"--?({'|'.join(_KINDS)})(?:[-_]?(?:dir|directory|path|folder|root|to)|(?<=out)|(?<=output))"
)


class LocalOutputs:
    """The outputs of one local run; to be created before the script starts.

    Args:
        patterns: The setting.
        folder: The script's working directory.
    """

    def __init__(self, patterns: Sequence[str], folder: Path) -> None:
        self._patterns = OutputPatterns(patterns)
        self._folder = str(folder)
        self._started = time.time()
        self._before = signatures(self._folder, self._patterns)

    def save(self, model: Path, log: Callable[[str], None]) -> None:
        """Copies what the script wrote to the model's folder, after the script succeeded.

        Args:
            model: The model's folder.
            log: Called with a line for each path that matches and can't be an output.

        Raises:
            VerifyError: A file can't be copied.
        """
        found = find(self._folder, self._patterns, self._before)
        for line in found.left_out:
            log(f"warning: outputs: left out {line}")
        if not found.outputs:
            return
        try:
            OutputCopy(str(model), self._started).save(found.outputs)
        except CopyFailed as error:
            raise VerifyError(f"outputs: {error}", where=model, next_step="Make room on this disk") from error


def how_to_save(outputs: Sequence[str], stray: Sequence[str], flags: Iterable[str]) -> str:
    """The next step for a script that left no model: the setting that takes along what it wrote, and its own flag.

    Args:
        outputs: The setting as it is.
        stray: What the script wrote in its working directory.
        flags: The flags that it declares.
    """
    flag = _output_flag(flags)
    own = f'model-dir-argument = "{flag}"' if flag else "model-dir-argument"
    if not stray:
        return f"Save the model in the folder given by AIP_MODEL_DIR, or set {own} under [tool.vertex-training]"
    begin = "Change outputs to" if outputs else "Set"
    setting = suggested_setting(stray) if outputs else f"outputs = {suggested_setting(stray)}"
    if flag:
        setting += f" or {own}"
    return f"{begin} {setting} under [tool.vertex-training], or save the model in the folder given by AIP_MODEL_DIR"


def suggested_setting(paths: Sequence[str]) -> str:
    """The patterns that would make these files the model: their folders, and those in no folder by their endings.

    Args:
        paths: Files that the script wrote, relative to its working directory.
    """
    folders = dict.fromkeys(f"{path.partition('/')[0]}/**" for path in paths if "/" in path)
    single = [path for path in paths if "/" not in path]
    endings = Counter(posixpath.splitext(path)[1] for path in single)
    names = dict.fromkeys(
        f"*{ending}" if endings[ending := posixpath.splitext(path)[1]] > 1 and ending else path for path in single
    )
    return json.dumps([*folders, *names][:_SUGGESTED], ensure_ascii=False)


def _output_flag(flags: Iterable[str]) -> str | None:
    """The flag that most likely takes the folder to write to."""
    found = [(_KINDS.index(match[1]), flag) for flag in flags if (match := _OUTPUT_FLAG.fullmatch(flag))]
    return min(found)[1] if found else None
