"""The setting `outputs` in the local run: what the script writes in its own place becomes the model, as in the job."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ...core.errors import VerifyError
from ...runtime.output_copy import CopyFailed, OutputCopy
from ...runtime.output_files import find, signatures
from ...runtime.output_patterns import OutputPatterns


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
