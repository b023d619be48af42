import json

import pytest
from prefect_vertex_training.core.errors import ProjectError
from prefect_vertex_training.project.files import list_files
from prefect_vertex_training.project.settings import load

SERVICE_ACCOUNT = json.dumps(
    {
        "type": "service_account",
        "project_id": "p",
        "private_key": "-----BEGIN PRIVATE " + "KEY-----\\nMIIE\\n",
        "client_email": "a@p.iam.gserviceaccount.com",
    }
)
USER = json.dumps({"type": "authorized_user", "client_id": "1", "client_secret": "2", "refresh_token": "x" * 80})


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        ("config/key.json", SERVICE_ACCOUNT, "service account key"),
        ("me.json", USER, "Google user credentials"),
        ("id_rsa", "x", "private SSH key"),
        ("deploy/id_ed25519", "x", "private SSH key"),
        ("server.pem", "-----BEGIN RSA PRIVATE " + "KEY-----\n", "private key"),
        (".netrc", "x", "password file"),
        ("kaggle.json", "{}", "Kaggle key"),
        (".env.production", "A=1", "environment file"),
        ("store.p12", "x", "key store"),
    ],
)
def test_a_secret_stops_the_run_unless_allowed(make_project, path, content, kind):
    """File and kind are named, the secret never; `allow-secrets` lets it pass."""
    root = make_project({path: content})

    with pytest.raises(ProjectError) as caught:
        list_files(root, load(root))

    assert path in str(caught.value)
    assert kind in str(caught.value)
    assert "MIIE" not in f"{caught.value}{caught.value.detail}"

    (root / "pyproject.toml").write_text(f'[tool.vertex-training]\nallow-secrets = ["/{path}"]\n')
    assert path in [file.path for file in list_files(root, load(root))]


def test_all_secrets_are_in_the_detail(make_project):
    """One line names the first and counts the rest."""
    root = make_project({"a/id_rsa": "", "b/id_rsa": ""})

    with pytest.raises(ProjectError, match="and 1 more") as caught:
        list_files(root, load(root))

    assert caught.value.detail == "a/id_rsa: private SSH key\nb/id_rsa: private SSH key"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("ca.pem", "-----BEGIN CERTIFICATE-----\n" * 10),
        ("config.json", json.dumps({"type": "service_account", "note": "x" * 200})),
        ("notes.json", "about private_key " * 20),
        (".env.example", "TOKEN="),
        ("rows.json", json.dumps([{"private_key": 1}] * 20)),
    ],
)
def test_harmless_files_pass(make_project, path, content):
    """Certificates, templates and JSON that only speaks of keys are no finding."""
    root = make_project({path: content})

    assert path in [file.path for file in list_files(root, load(root))]


def test_an_environment_file_stays_out_unless_it_is_included(make_project):
    """`.env` never travels by itself; whoever includes it must allow it too."""
    root = make_project({".env": "TOKEN=1"})
    assert [file.path for file in list_files(root, load(root))] == ["train.py"]

    (root / "pyproject.toml").write_text('[tool.vertex-training]\ninclude = [".env"]\n')
    with pytest.raises(ProjectError, match=r"\.env looks like a secret \(environment file\)"):
        list_files(root, load(root))
