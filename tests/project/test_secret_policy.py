import base64
import json
import random
import traceback
from pathlib import Path

import pytest
from fixtures.projects.planted import BODY, LINES, SERVICE_ACCOUNT, USER
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.core.home import Home
from prefect_vertex_training.project.files import contents
from prefect_vertex_training.project.secrets.search import SecretSearch
from prefect_vertex_training.project.snapshot import Project


@pytest.fixture
def open_project(tmp_path):
    """Opens a project as a run does."""
    return lambda root: Project.open(root, Home(tmp_path / "home"))


def notebook(*cells: str) -> str:
    """As Jupyter writes it, with a picture among the outputs."""
    picture = base64.b64encode(random.Random(3).randbytes(200_000)).decode()
    output = {"output_type": "display_data", "data": {"image/png": picture}, "metadata": {}}
    cell = {"cell_type": "code", "metadata": {}, "execution_count": 1, "outputs": [output]}
    cells_json = [{**cell, "source": text.splitlines(keepends=True)} for text in cells]
    return json.dumps({"cells": cells_json, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def in_text(text: str) -> tuple[str, str]:
    """Deep in a folder, in the midst of code."""
    return "src/a/b/c/config.py", f"import os\n\n{text}\nprint(1)\n"


def in_notebook(text: str) -> tuple[str, str]:
    """In a cell's source, escaped as JSON."""
    return "notebooks/explore.ipynb", notebook("import os\n", f"# a cell\n{text}\n")


def in_json(text: str) -> tuple[str, str]:
    """As a value, beside others."""
    return "config/run.json", json.dumps({"lr": 0.1, "nested": [{"value": text}]}, indent=2)


def in_windows_text(text: str) -> tuple[str, bytes]:
    """With carriage returns, in UTF-16."""
    return "notes.txt", f"first\r\n{text}\r\n".encode("utf-16")


@pytest.mark.parametrize("place", [in_text, in_notebook, in_json, in_windows_text])
@pytest.mark.parametrize("name", LINES)
def test_a_planted_secret_stops_the_run(make_project, open_project, name, place):
    """Every kind, in text, notebooks, JSON and nested folders: file, line and kind are told, the secret never."""
    kind, text = LINES[name]
    path, content = place(text)
    root = make_project({path: content})

    with pytest.raises(ProjectError) as caught:
        open_project(root)

    told = "".join(traceback.format_exception(caught.value)) + str(caught.value.detail)
    assert f"{path}:" in str(caught.value)
    assert f"({kind})" in str(caught.value)
    assert not [word for word in text.split() if len(word) > 30 and word in told]
    assert BODY[:20] not in told


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        ("config/key.json", json.dumps(SERVICE_ACCOUNT), "service account key"),
        ("config/key.json", json.dumps(SERVICE_ACCOUNT, indent=2), "service account key"),
        ("me.json", json.dumps(USER), "Google refresh token"),
        ("id_rsa", "x", "private SSH key"),
        ("deploy/id_ed25519", "x", "private SSH key"),
        (".netrc", "x", "password file"),
        ("kaggle.json", "{}", "Kaggle key"),
        (".env.production", "A=1", "environment file"),
        ("store.p12", "x", "key store"),
        (".aws/credentials", "x", "AWS credentials"),
        (".docker/config.json", "{}", "Docker login"),
    ],
)
def test_key_files_stop_the_run_unless_allowed(make_project, open_project, path, content, kind):
    """By name or by what they hold; `allow-secrets` lets a file pass."""
    root = make_project({path: content})

    with pytest.raises(ProjectError) as caught:
        open_project(root)

    assert path in str(caught.value)
    assert kind in str(caught.value)

    (root / "pyproject.toml").write_text(f'[tool.vertex-training]\nallow-secrets = ["/{path}"]\n')
    assert path in [file.path for file in open_project(root).files]


def test_the_line_is_told(make_project, open_project):
    """Where a file has many lines, the finding's own is named, also beyond the first block."""
    filler = "x = 1\n" * 1_000_000
    root = make_project({"big.py": filler + LINES["Hugging Face"][1]})

    with pytest.raises(ProjectError, match=r"big\.py:1000001 looks like a secret"):
        open_project(root)


def test_a_secret_across_blocks_is_found(make_project, open_project, monkeypatch):
    """Wherever a large file is cut into blocks."""
    monkeypatch.setattr(contents, "_BLOCK", 64)
    for shift in range(0, 64, 7):
        root = make_project({"big.py": "#" * shift + "\n" + "x = 1\n" * 20 + LINES["AWS key id"][1] + "\n" * 99})

        with pytest.raises(ProjectError, match=r"big\.py:22 looks like a secret \(AWS key\) and would") as caught:
            open_project(root)
        assert caught.value.detail is not None
        assert len(caught.value.detail.splitlines()) == 1


def test_all_findings_are_in_the_detail(make_project, open_project):
    """One line names the first and counts the rest."""
    root = make_project({"a/id_rsa": "", "b/id_rsa": "", "c.py": f"\n{LINES['Hugging Face'][1]}"})

    with pytest.raises(ProjectError, match="and 2 more") as caught:
        open_project(root)

    lines = str(caught.value.detail).splitlines()
    assert lines[:2] == ["a/id_rsa: private SSH key", "b/id_rsa: private SSH key"]
    assert lines[2].startswith("c.py:2: Hugging Face token")


def test_one_finding_is_allowed_by_its_entry(make_project, open_project):
    """The message gives the entry, which holds wherever the line moves; another secret in the file still stops."""
    root = make_project({"a.py": LINES["Hugging Face"][1]})
    with pytest.raises(ProjectError) as caught:
        open_project(root)
    entry = str(caught.value).split('["')[1].split('"]')[0]

    (root / "pyproject.toml").write_text(f'[tool.vertex-training]\nallow-secrets = ["{entry}"]\n')
    (root / "a.py").write_text(f"\n\n{LINES['Hugging Face'][1]}\n")
    assert "a.py" in [file.path for file in open_project(root).files]

    (root / "a.py").write_text(f"{LINES['Hugging Face'][1]}\n{LINES['AWS key id'][1]}\n")
    with pytest.raises(ProjectError, match=r"a\.py:2 looks like a secret \(AWS key\)"):
        open_project(root)


def test_the_comment_of_detect_secrets_allows_a_line(make_project, open_project):
    """On its own line, in text and in a notebook; it allows no other line."""
    line = f"{LINES['Hugging Face'][1]}  # pragma: allowlist secret\n"
    root = make_project({"a.py": line, "b.ipynb": notebook(line)})
    assert len(open_project(root).files) == 3

    (root / "a.py").write_text(line + LINES["AWS key id"][1])
    with pytest.raises(ProjectError, match=r"a\.py:2"):
        open_project(root)


def test_unchanged_files_are_not_scanned_again(make_project, tmp_path, monkeypatch):
    """Also where the file was only touched or moved, and where its findings are allowed."""
    root = make_project({"a.py": LINES["Hugging Face"][1], "b.py": "x = 1"})
    later = {"cache": tmp_path / "cache", "clock": lambda: 10**20}

    def read():
        from prefect_vertex_training.project.files.listing import list_files
        from prefect_vertex_training.project.settings.settings import load

        return contents.read_contents(list_files(root, load(root)), root, **later)

    first = read()
    assert list(first.findings) == ["a.py"]
    monkeypatch.setattr(contents.SecretBatches, "add", lambda *_: pytest.fail("scanned"))
    (root / "b.py").touch()
    (root / "a.py").rename(root / "c.py")

    second = read()

    assert second.findings == {"c.py": first.findings["a.py"]}


HARMLESS = {
    "ca.pem": "-----BEGIN CERTIFICATE-----\n" * 10,
    "config.json": json.dumps({"type": "service_account", "note": "x" * 200}),
    "notes.json": "about private_key " * 20,
    ".env.example": "TOKEN=",
    "rows.json": json.dumps([{"private_key": 1}] * 20),
    "requirements.txt": "numpy==2.0 --hash=sha256:"
    + "0a1b2c3d" * 8
    + "\ngit+https://github.com/wandb/wandb@"
    + "0a1b2" * 8,
    "pylock.toml": f'[[packages]]\nname = "wandb"\nhashes = {{sha256 = "{"9f8e7d6c" * 8}"}}\n',
    "notebook.ipynb": notebook("import wandb\nwandb.init(project='x')\n", "token = os.environ['HF_TOKEN']\n"),
    "tokenizer_config.json": json.dumps({"bos_token": "<s>", "pad_token": "[PAD]", "tokenizer_class": "Llama"}),
    "vocab.json": json.dumps({base64.b64encode(bytes([n, n + 1, 7])).decode(): n for n in range(200)}),
    "metrics.json": json.dumps({"loss": [0.1 / n for n in range(1, 500)], "run": "0a1b2c3d4e5f", "key": "accuracy"}),
    "params.yaml": "model:\n  key: value\n  secret_size: 10\ndb:\n  password: ${DB_PASSWORD}\n"
    "  url: postgres://postgres:postgres@localhost/db\n",
    "data.csv": "".join(f"{n},{n * 0.37},id_{n:032x}\n" for n in range(2000)),
    "app.min.js": "!function(e){var t={};"
    + "function n(r){if(t[r])return t[r].exports;var o=t[r]={i:r,l:!1};}" * 99
    + "}",
    "train_all.py": (
        "import os\nAPI_KEY = os.environ['API_KEY']\npassword = getpass.getpass()\n"
        "wandb.login(key=os.getenv('WANDB_API_KEY'))\nsecret = 'projects/p/secrets/wandb-key/versions/1'\n"
        "url = f'postgresql://{user}:{password}@{host}/db'\ntoken = '<your token here>'\n"
        "commit = '" + "0a1b2c3d4e" * 4 + "'\nparser.add_argument('--api-key', default='')\n"
    ),
    "README.md": "Set `WANDB_API_KEY=xxxxxxxx`, `hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` and"
    " a `https://user:password@host` address.\n"
    "A key begins with `-----BEGIN PRIVATE KEY-----`.\n",
    "weights.bin": random.Random(1).randbytes(300_000),
}


def test_a_normal_project_gives_no_finding(make_project, open_project):
    """Notebooks with pictures, hashes, lock files, metrics, configurations, data, minified code."""
    root = make_project(HARMLESS)

    assert {file.path for file in open_project(root).files} == {"train.py", *HARMLESS}


PLANTED_FILES = {
    "project/secrets/gitleaks/rules.toml",  # the text by which a key is known is itself one in base64
    "tests/core/network/test_index_logins.py",
    "tests/core/network/test_proxies.py",
    "tests/core/security/test_safe_git.py",
    "tests/fixtures/projects/planted_kinds.py",
    "tests/fixtures/images/registry_server.py",
    "tests/fixtures/google/secret_manager.py",
    "tests/flows/screening/test_checked_flow.py",
    "tests/flows/runs/test_data.py",
    "tests/images/registry/test_auth.py",
    "tests/fixtures/projects/private_index.py",
    "tests/project/secrets/noseyparker/examples.json",
    "tests/project/secrets/test_recall.py",
    "tests/tasks/test_image_request.py",
}
"""The files of this repository that hold made-up secrets in one piece."""


def test_this_repository_gives_no_other_finding():
    """Its code, examples, documents and tests hold many words for secrets; only made-up ones of tests are found."""
    root = Path(__file__).resolve().parents[2]
    found, scanned, search = set(), 0, SecretSearch()
    for path in root.rglob("*"):
        parts = path.relative_to(root).parts
        if path.is_file() and not parts[0].startswith(".") and "node_modules" not in parts:
            scan = contents.SecretScan(search)
            scan.feed(path.read_bytes())
            found |= {path.relative_to(root).as_posix()} if scan.findings else set()
            scanned += 1
    assert found == PLANTED_FILES
    assert scanned > 200


def test_an_environment_file_stays_out_unless_it_is_included(make_project, open_project):
    """`.env` never travels by itself; whoever includes it must allow it too."""
    root = make_project({".env": "TOKEN=1"})
    assert [file.path for file in open_project(root).files] == ["train.py"]

    (root / "pyproject.toml").write_text('[tool.vertex-training]\ninclude = [".env"]\n')
    with pytest.raises(ProjectError, match=r"\.env looks like a secret \(environment file\)"):
        open_project(root)
