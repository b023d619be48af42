"""Secret variables in a job: read from Secret Manager by the job's own account, and masked in its output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode
from urllib.parse import quote

import pytest
from fixtures.google.secret_manager import EMAIL, SecretManagerServer, secret_manager
from hypothesis import given
from hypothesis import strategies as st
from prefect_vertex_training.runtime import secret_variables
from prefect_vertex_training.runtime.masking import MASK, SHORTEST, StreamMask, forms
from prefect_vertex_training.runtime.secret_variables import crc32c

__all__ = ["secret_manager"]

VERSION = "projects/my-project/secrets/wandb/versions/latest"
SHOW = "import os, sys; print('key', os.environ['KEY']); print('err', os.environ['KEY'], file=sys.stderr)"


def env(job, server: SecretManagerServer, **more: str) -> dict[str, str]:
    """The variables of a job with one secret in Secret Manager, and others that are set."""
    versions = {"KEY": VERSION, **dict.fromkeys(more, "")}
    return job.env((), **server.env, **secret_variables.encode(versions), **more)


def test_the_script_gets_the_value_and_its_output_is_masked(job, secret_manager: SecretManagerServer) -> None:
    """The value is in the script's environment alone; this process's own has only the version's name."""
    secret_manager.values[VERSION] = b"s3cret-value"
    script = (
        f"{SHOW}; assert os.environ['KEY'] == 's3cret-value'; print(open('/proc/%d/environ' % os.getppid()).read())"
    )

    code, out, err = job.run(script, env(job, secret_manager))

    assert code == 0
    assert out.splitlines()[0] == f"key {MASK}"
    assert err == f"err {MASK}\n"
    assert VERSION in out
    assert "s3cret-value" not in out + err


def test_values_that_are_set_already_are_masked_too(job, secret_manager: SecretManagerServer) -> None:
    """Plain, in a URL and in base64; the rest of the output stays as it is, to the byte."""
    secret_manager.values[VERSION] = b"v1-from-manager"
    written = "pa/ss w\u00f6rd"
    encoded = b64encode(written.encode()).decode()
    script = (
        "import os, sys, base64, urllib.parse; v = os.environ['MORE'];"
        "sys.stdout.buffer.write(b'\\xff\\x00 ' + v.encode() + b' ' + urllib.parse.quote(v, safe='').encode() + b' '"
        " + base64.b64encode(v.encode()) + b' no newline')"
    )
    variables = env(job, secret_manager, MORE=written)

    done = subprocess.run(
        job.command(sys.executable, "-c", script), env=variables, cwd=job.work, capture_output=True, check=True
    )

    assert quote(written, safe="").encode() not in done.stdout
    assert encoded.encode() not in done.stdout
    mask = MASK.encode()
    assert done.stdout.replace(b"=", b"") == b"\xff\x00 " + mask + b" " + mask + b" " + mask + b" no newline"


def test_exit_status_and_outputs_stay(job, secret_manager: SecretManagerServer) -> None:
    """A failed script's status is the job's; a successful one's outputs are saved."""
    secret_manager.values[VERSION] = b"s3cret-value"
    variables = env(job, secret_manager)

    assert job.run("import sys; sys.exit(7)", variables)[0] == 7
    assert job.run("import os; os.kill(os.getpid(), 9)", variables)[0] == 137
    saved = job.run(
        "import os; os.mkdir('out'); open('out/m', 'w').write('x')", {**job.env(), **variables, **job.env()}
    )
    assert saved[0] == 0
    assert (job.model / "out/m").read_text() == "x"


def test_a_process_that_the_script_leaves_behind_holds_nothing_up(job, secret_manager: SecretManagerServer) -> None:
    """It keeps the pipes open; the job ends with the script all the same."""
    secret_manager.values[VERSION] = b"s3cret-value"
    script = "import subprocess; print('begin', flush=True); subprocess.Popen(['sleep', '60'])"

    with job.start(script, env(job, secret_manager), start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begin\n"
        try:
            assert process.wait(timeout=60) == 0
        finally:
            os.killpg(process.pid, 9)


def test_a_service_that_fails_at_first_is_asked_again(job, secret_manager: SecretManagerServer) -> None:
    """Metadata servers answer 503 while a machine starts."""
    secret_manager.values[VERSION] = b"s3cret-value"
    secret_manager.failures = 2

    assert job.run("import os; os.environ['KEY']", env(job, secret_manager)) == (0, "", "")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, f"gcloud secrets add-iam-policy-binding wandb --project=my-project --member=serviceAccount:{EMAIL}"),
        (404, "there is no projects/my-project/secrets/wandb/versions/latest"),
        (400, "disabled or destroyed"),
    ],
)
def test_what_cannot_be_read_ends_the_job_before_the_script(
    job, secret_manager: SecretManagerServer, status: int, said: str
) -> None:
    """One line that names variable, version and remedy."""
    secret_manager.status[VERSION] = status

    code, out, err = job.run("print('ran')", env(job, secret_manager))

    assert (code, out) == (1, "")
    assert said in err
    assert err.count("\n") == 1
    assert err.startswith("vertex-training: secret-env: KEY: ")


@pytest.mark.parametrize(("value", "said"), [(b"\xff\xfe", "no text in UTF-8"), (b"a\0b", "NUL"), (b"ok", "checksum")])
def test_a_value_that_is_no_variable_is_refused(
    job, secret_manager: SecretManagerServer, value: bytes, said: str
) -> None:
    """Bytes, a NUL, or an answer that was changed on its way."""
    secret_manager.values[VERSION] = value
    secret_manager.damaged = {VERSION} if said == "checksum" else set()

    code, _, err = job.run("print('ran')", env(job, secret_manager))

    assert code == 1
    assert said in err


def test_a_machine_without_an_account_says_what_to_do(job) -> None:
    """As a laptop: there is no metadata server."""
    variables = job.env((), GCE_METADATA_HOST="127.0.0.1:9", **secret_variables.encode({"KEY": VERSION}))

    code, _, err = job.run("print('ran')", variables)

    assert code == 1
    assert "set the variable KEY where the run is started" in err


@pytest.mark.parametrize("text", ["[]", '{"A": 1}', "x"])
def test_a_variable_of_another_form_is_an_error(job, text: str) -> None:
    """Not a job without secrets."""
    code, _, err = job.run("print('ran')", job.env((), VERTEX_TRAINING_SECRET_ENV=text))

    assert code == 1
    assert "VERTEX_TRAINING_SECRET_ENV can't be read" in err


def test_the_checksum_is_castagnoli_s() -> None:
    """The check value of CRC-32C: https://reveng.sourceforge.io/crc-catalogue/all.htm."""
    assert crc32c(b"123456789") == 0xE3069283


@given(
    secrets=st.lists(st.text("abAB/+ \n", min_size=SHORTEST, max_size=12), min_size=1, max_size=3),
    pieces=st.lists(st.one_of(st.integers(0, 2), st.binary(max_size=6)), max_size=12),
    cuts=st.lists(st.integers(1, 7), min_size=1, max_size=5),
)
def test_no_secret_passes_however_the_stream_is_cut(
    secrets: list[str], pieces: list[int | bytes], cuts: list[int]
) -> None:
    """The masked stream is the same as if all of it had come at once, and holds no form of a secret."""
    data = b"".join(secrets[piece % len(secrets)].encode() if isinstance(piece, int) else piece for piece in pieces)
    mask, out, start, turn = StreamMask(secrets), b"", 0, 0
    while start < len(data):
        out += mask.feed(data[start : start + cuts[turn % len(cuts)]])
        start, turn = start + cuts[turn % len(cuts)], turn + 1
    out += mask.end()

    for form in {form for secret in secrets for form in forms(secret) if len(form.strip()) >= SHORTEST}:
        assert form.encode() not in out.replace(MASK.encode(), b"\0")


def test_nothing_that_is_complete_is_held_back() -> None:
    """A progress bar shows at once; only the possible beginning of a secret waits."""
    mask = StreamMask(["s3cret"])

    assert [mask.feed(part) for part in (b"10%\r", b"is s3", b"cr", b"et!", b"s3c", b"ond")] == [
        *(b"10%\r", b"is ", b"", f"{MASK}!".encode()),
        *(b"", b"s3cond"),
    ]
    assert json.loads(json.dumps(mask.end().decode())) == ""
