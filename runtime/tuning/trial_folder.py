"""A trial's own output folder in place of the tuning job's.

Vertex AI gives every trial of a tuning job the same command and variables. Only its own variables, AIP_MODEL_DIR and
its like, name a folder of the trial. Paths that were made from the job's folder would be shared by all trials, which
would overwrite each other's models and go on with each other's checkpoints.
"""

from __future__ import annotations

import os
import re
from typing import Dict, List, Mapping, Sequence, Tuple

from .tuning_variable import NAME

_URI = "gs://"
_MOUNTED = "/gcs/"


def in_trial(words: Sequence[str], environ: Mapping[str, str], output: str) -> Tuple[List[str], Dict[str, str]]:
    """The command of a trial, and the variables that change.

    Args:
        words: The command, as it is for all trials.
        environ: The job's environment.
        output: The tuning job's output folder, a gs:// URI.
    """
    own = os.path.dirname(environ.get("AIP_MODEL_DIR", "").rstrip("/"))
    shared = output.rstrip("/")
    if not own.startswith("%s/" % shared):
        return list(words), {}
    trial = own[len(shared) :]  # with its slash

    def moved(text: str) -> str:
        for base in (shared, shared.replace(_URI, _MOUNTED, 1)):
            text = re.sub(r"%s(?!%s(/|$))(?![\w.-])" % (re.escape(base), re.escape(trial)), base + trial, text)
        return text

    changed = {name: moved(value) for name, value in environ.items() if shared[len(_URI) :] in value and name != NAME}
    return [moved(word) for word in words], {name: text for name, text in changed.items() if text != environ[name]}
