"""The runtime: provides a job's data and secrets, starts its script, and saves its outputs when it has ended."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import tempfile
import time
from typing import TYPE_CHECKING, Dict, List, Mapping, Optional, Sequence

from . import data_variable, output_files, outputs_variable
from .output_copy import CopyFailed, OutputCopy
from .output_files import Found, Signatures
from .output_patterns import OutputPatterns
from .script_process import ScriptProcess

if TYPE_CHECKING:
    from .tuning.hypertune_file import HypertuneFile

_FAILED = 1
_USAGE = 2
_NOT_EXECUTABLE = 126  # as a shell reports it
_NOT_FOUND = 127
_SHOWN = 5
_SECRETS = "VERTEX_TRAINING_SECRET_ENV"
"""As in `secret_variables`, which is imported only where a job has secrets."""
_LAUNCHER = "VERTEX_TRAINING_LAUNCHER"
"""As in `launcher`, likewise."""
_TUNING = "VERTEX_TRAINING_TUNING"
"""As in `tuning`, likewise."""
_METRICS_FILE = "metrics.json"


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs the command after `--`; returns the exit status of the job.

    Without outputs to save and without secrets to mask the command replaces this process.
    """
    words = list(arguments[1:]) if arguments[:1] == ["--"] else list(arguments)
    if not words:
        return _fail("there is no command to start: give one after --", _USAGE)
    try:
        patterns = outputs_variable.decode(environ)
        wanted = OutputPatterns(patterns)
        secrets = _read_secrets(environ) if environ.get(_SECRETS) else {}
    except (_NoSecrets, ValueError) as error:
        known = isinstance(error, _NoSecrets)
        return _fail("secret-env: %s" % error if known else "%s can't be read: %s" % (outputs_variable.NAME, error))
    if environ.get(data_variable.NAME) and not _provide_data(environ):
        return _FAILED
    if environ.get(_TUNING):
        words = _in_trial(words)
    if words and environ.get(_LAUNCHER):
        words = _launched(words)
    return _start(words, wanted, environ, secrets) if words else _FAILED


def _start(words: List[str], wanted: OutputPatterns, environ: Mapping[str, str], secrets: Mapping[str, str]) -> int:
    """Starts the command; where nothing is left to do after it, it replaces this process."""
    try:
        reports = _hypertune_file(environ) if environ.get(_TUNING) and _is_primary(environ) else None
        if reports:
            script = ScriptProcess(secrets, reports.stream)
            status = _run(words, wanted, environ, script) if wanted else script.run(words)
            reports.end(_metrics_document(environ))
            return status
        script = ScriptProcess(secrets)
        if wanted and _is_primary(environ):
            return _run(words, wanted, environ, script)
        if secrets:
            return script.run(words)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # Python ignores them, and the command would inherit that
        os.execvp(words[0], words)  # noqa: S606 - the job's own command
    except OSError as error:
        status = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
        return _fail("can't start %s: %s" % (words[0], error.strerror), status)


def _launched(words: List[str]) -> List[str]:
    """The launcher's command around the script's; empty if it can't be started, which has been said then."""
    from .launcher import launch, launcher_variable  # noqa: PLC0415 - few jobs need it

    try:
        chosen = launcher_variable.decode(os.environ)
        return launch.launched(words, chosen, os.environ, _say) if chosen else words
    except (launch.LaunchFailed, ValueError) as error:
        _say("launcher: %s" % error)
        return []


def _in_trial(words: List[str]) -> List[str]:
    """The command of this trial of a tuning job; empty if the job's variable can't be read, which has been said then.

    The variables are changed likewise.
    """
    from .tuning import trial_folder, tuning_variable  # noqa: PLC0415 - few jobs need it

    try:
        tuning = tuning_variable.decode(os.environ)
    except ValueError as error:
        _say("%s can't be read: %s" % (_TUNING, error))
        return []
    words, changed = trial_folder.in_trial(words, os.environ, tuning.output if tuning else "")
    os.environ.update(changed)
    return words


def _hypertune_file(environ: Mapping[str, str]) -> "Optional[HypertuneFile]":
    """Where the metric that the script prints is reported; None where nobody reads it."""
    from .tuning import hypertune_file, tuning_variable  # noqa: PLC0415 - few jobs need it

    path, tuning = environ.get(hypertune_file.HYPERTUNE_VARIABLE, ""), tuning_variable.decode(environ)
    trial = environ.get(hypertune_file.TRIAL_VARIABLE) or "0"
    return hypertune_file.HypertuneFile(tuning.metric, path, trial, _say) if path and tuning else None


def _metrics_document(environ: Mapping[str, str]) -> str:
    """The text of metrics.json in the model's folder; empty where there is none."""
    try:
        with open(os.path.join(_model_folder(environ), _METRICS_FILE), encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


class _NoSecrets(Exception):
    """A secret variable has no value; the message says why."""


def _read_secrets(environ: Mapping[str, str]) -> Dict[str, str]:
    """The values of all secret variables: some are in the environment already, the job's account reads the others."""
    from . import secret_variables  # noqa: PLC0415 - its imports take a while

    try:
        versions = secret_variables.decode(environ)
        read = secret_variables.SecretManager(environ).values(versions)
    except ValueError as error:
        raise _NoSecrets("%s can't be read: %s" % (_SECRETS, error)) from None
    except secret_variables.SecretUnreadable as error:
        raise _NoSecrets(str(error)) from None
    return {**{name: environ[name] for name in versions if name in environ}, **read}


def _provide_data(environ: Mapping[str, str]) -> bool:
    """Brings the job's data sets to where the script opens them; the script finds their paths in its variables."""
    # They import what is needed for HTTPS, which takes longer than all else here.
    from . import data_sets  # noqa: PLC0415
    from .data_copy import DataFailed  # noqa: PLC0415

    try:
        os.environ.update(data_sets.provide(data_variable.decode(environ), environ, _say))
    except (DataFailed, ValueError) as error:
        _say(str(error))
        return False
    return True


def _run(words: List[str], patterns: OutputPatterns, environ: Mapping[str, str], script: ScriptProcess) -> int:
    model = _model_folder(environ)
    if not model:
        return _fail("the job has no output folder to save outputs in: AIP_MODEL_DIR isn't set")
    root = os.getcwd()
    copy = OutputCopy(model, time.time())
    try:
        copy.check()
    except CopyFailed as error:
        return _fail("outputs: %s" % error)
    before = _state_before(root, patterns)
    status = script.run(words)
    return _save(copy, output_files.find(root, patterns, before), status, stopped=script.stopped)


def _save(copy: OutputCopy, found: Found, status: int, *, stopped: bool) -> int:
    for line in found.left_out[:_SHOWN]:
        _say("outputs: left out %s" % line)
    if len(found.left_out) > _SHOWN:
        _say("outputs: left out %d more" % (len(found.left_out) - _SHOWN))
    whole = status == 0 and not stopped
    try:
        if whole:
            copy.save(found.outputs)
        else:
            copy.save_partial(found.outputs)
    except CopyFailed as error:
        return _fail("outputs: %s" % error, status or _FAILED)
    where = "the model's folder" if whole else "the folder partial beside the model's"
    count = len(found.outputs)
    _say("outputs: %d file%s copied to %s" % (count, "" if count == 1 else "s", where))
    return status


def _model_folder(environ: Mapping[str, str]) -> str:
    """The model's folder as a path; empty if the job has none."""
    folder = environ.get("VERTEX_TRAINING_MODEL_DIR") or environ.get("AIP_MODEL_DIR") or ""
    return ("/gcs/" + folder[len("gs://") :] if folder.startswith("gs://") else folder).rstrip("/")


def _is_primary(environ: Mapping[str, str]) -> bool:
    """Whether this replica is the primary one: the others would overwrite its outputs with their own."""
    try:
        return json.loads(environ["CLUSTER_SPEC"])["task"]["type"] in ("workerpool0", "chief")
    except (KeyError, TypeError, ValueError):
        return True


def _state_before(root: str, patterns: OutputPatterns) -> Signatures:
    """The files before the first start of the script in this container: a second start must not take them as given."""
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    path = os.path.join(tempfile.gettempdir(), "%s%d-%s" % (output_files.STATE_PREFIX, os.getuid(), name))
    kept = _read_state(path)
    if kept is not None:
        return kept
    before = output_files.signatures(root, patterns)
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(before, file)
    return before


def _read_state(path: str) -> Optional[Signatures]:
    try:
        if os.lstat(path).st_uid != os.getuid():
            return None
        with open(path) as file:
            return {str(name): list(signature) for name, signature in json.load(file).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def _fail(message: str, status: int = _FAILED) -> int:
    _say(message)
    return status


def _say(message: str) -> None:
    # Not through sys.stderr: if nobody reads it any more, Python would change the exit status at its end.
    with contextlib.suppress(OSError):
        os.write(2, ("vertex-training: %s\n" % message).encode("utf-8", "backslashreplace"))
