"""How many kinds of secrets the scanner finds, and that it finds none in ordinary lines, pictures and notebooks."""

from __future__ import annotations

import base64
import io
import json
import pickle
import random
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fixtures.projects.planted import LINES
from fixtures.projects.planted_kinds import HARMLESS, KINDS
from fixtures.projects.surroundings import AROUND_A_TEXT, AROUND_A_VALUE
from prefect_vertex_training.project.files.contents import read_contents
from prefect_vertex_training.project.files.listing import list_files
from prefect_vertex_training.project.secrets import containers, gitleaks_rules
from prefect_vertex_training.project.secrets.file_names import secret_kind
from prefect_vertex_training.project.secrets.finding import Finding
from prefect_vertex_training.project.secrets.scan import SecretScan
from prefect_vertex_training.project.secrets.search import SecretSearch
from prefect_vertex_training.project.settings.settings import load

SEARCH = SecretSearch()
TOKEN = "hf" + "_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7"


def examples() -> dict[str, str]:
    """Examples of rules that this package doesn't use."""
    encoded = json.loads(Path(__file__).with_name("noseyparker").joinpath("examples.json").read_text())
    return {name: base64.b64decode(text).decode() for name, text in encoded.items()}


def found(text: str) -> list[Finding]:
    """The findings in a text."""
    scan = SecretScan(SEARCH)
    scan.feed(text.encode(), last=True)
    return scan.findings


@pytest.mark.parametrize("place", AROUND_A_TEXT)
def test_at_least_95_percent_of_all_kinds_are_found(place: str) -> None:
    """Of more than 250 kinds, more than a third of them another rule set's own examples, wherever these stand."""
    own, change = {**KINDS, **{name: text for name, (_, text) in LINES.items()}}, AROUND_A_TEXT[place]
    others = {name: change(text) for name, text in examples().items()}
    missed = [name for name, text in {**own, **others}.items() if not found(text)]
    missed_of_others = set(missed) & others.keys()

    assert len(others) * 3 >= len(own) + len(others) >= 150
    assert len(missed) <= 0.05 * (len(own) + len(others)), missed
    assert len(missed_of_others) <= 0.05 * len(others), missed_of_others


@pytest.mark.parametrize("place", AROUND_A_VALUE)
@pytest.mark.parametrize(
    "signs",
    ["0-9a-f", "0-9a-z", "0-9A-Z", "A-Za-z0-9", "A-Za-z0-9_-", "A-Za-z0-9+/"],
)
def test_values_without_a_form_of_their_own_are_found_where_projects_keep_them(place: str, signs: str) -> None:
    """By the name before them, for any service: of each alphabet 95 % of random values of a usual length."""
    source = random.Random(f"{place} {signs}")  # as random as a key, and the same at each run
    alphabet = [sign for sign in map(chr, range(33, 127)) if re.match(f"[{signs}]", sign)]
    values = ["".join(source.choices(alphabet, k=source.choice((24, 32, 40, 64)))) for _ in range(60)]
    texts = [AROUND_A_VALUE[place].format(name="parcels", upper="PARCELS", value=value) for value in values]
    missed = [text for text in texts if not found(text)]

    assert len(missed) <= 3, missed


@pytest.mark.parametrize("name", KINDS)
def test_a_planted_kind_is_found_in_code_and_in_a_notebook(name: str) -> None:
    """In the midst of other lines, and escaped as JSON among a cell's lines."""
    lines = f"import os\n\n{KINDS[name]}\n\nprint(1)\n"
    cell = json.dumps({"cells": [{"cell_type": "code", "source": lines.splitlines(keepends=True)}]}, indent=1)

    assert found(lines)
    assert found(cell) or "\n" in KINDS[name]


@pytest.mark.parametrize("line", HARMLESS)
def test_placeholders_and_code_are_no_secrets(line: str) -> None:
    """What stands for a secret, or reads it from the environment."""
    assert found(line) == []


def test_a_picture_in_base64_is_no_secret() -> None:
    """Whatever its bytes happen to spell: here every rule's beginning is written into them."""
    source = random.Random(5)
    names = ["AKIA", "SK", "AC", "EAAA", "cmVmd", "LTAI", "ABSK", "EZAK", "ico", "hf", "AIza", "ghp"]
    parts = [source.choice(names) + base64.b64encode(source.randbytes(60)).decode().rstrip("=") for _ in range(3000)]
    cell = {"output_type": "display_data", "data": {"image/png": "".join(parts)}, "metadata": {}}

    assert found(json.dumps({"cells": [{"outputs": [cell]}]}, indent=1)) == []


def test_the_rules_of_gitleaks_are_all_usable() -> None:
    """Each compiles, and has keywords, without which it would never be tried."""
    rules = gitleaks_rules.rules()

    assert len(rules) > 150
    assert all(rule.keywords for rule in rules)
    list(gitleaks_rules.matches(" ".join(keyword for rule in rules for keyword in rule.keywords)))


def zip_of(**members: bytes) -> bytes:
    """A zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def der(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, form: serialization.PrivateFormat) -> bytes:
    """A private key in DER."""
    return key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())


def test_binary_files_are_searched(tmp_path: Path) -> None:
    """Members of archives, also of one in another, strings of pickles, and keys in DER; a public key is none."""
    (tmp_path / "train.py").write_text("print(1)\n")
    rsa_key, ec_key = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    secret = {
        "member.zip": zip_of(config=f"token: {TOKEN}".encode()),
        "nested.zip": zip_of(inner=zip_of(config=f"token: {TOKEN}".encode())),
        "model.pt": zip_of(**{"archive/data.pkl": pickle.dumps({"password": "hunter2-prod"})}),
        "state.pkl": pickle.dumps({"lr": 0.1, "api": TOKEN}),
        "object.pkl": pickle.dumps(
            SimpleNamespace(hosts=["a", "b"], login={"user": "me", "db_password": "hunter2-prod"})
        ),
        # Its first instruction takes from a mark that isn't there.
        "broken.pkl": b"\x80\x04u" + pickle.dumps({"password": "hunter2-prod"})[2:],
        "old.pkl": pickle.dumps({"first": [1], "password": "hunter2-prod"}, protocol=2),
        "pkcs8.key": der(rsa_key, serialization.PrivateFormat.PKCS8),
        "pkcs1.key": der(rsa_key, serialization.PrivateFormat.TraditionalOpenSSL),
        "ec.key": der(ec_key, serialization.PrivateFormat.PKCS8),
        "sec1.key": der(ec_key, serialization.PrivateFormat.TraditionalOpenSSL),
    }
    harmless = {
        "plain.zip": zip_of(readme=b"nothing here"),
        "broken.zip": zip_of(config=f"token: {TOKEN}".encode())[:-40],
        "plain.pkl": pickle.dumps({"password": None, "lr": [0.1] * 100}),
        "words.pkl": pickle.dumps(["tried", "pass", "legislative", "token", "a1B2c3D4e5F6g7H8i9J0"]),
        "sklearn.pkl": pickle.dumps({"validate": False, "pass_y": "deprecated", "pass_args": "f1-score"}),
        "cut.pkl": pickle.dumps({"lr": [0.1] * 100})[:-30],
        "public.der": rsa_key.public_key().public_bytes(serialization.Encoding.DER, public),
        "noise.bin": random.Random(1).randbytes(5000) + b"\0",
    }
    for name, content in {**secret, **harmless}.items():
        (tmp_path / name).write_bytes(content)

    findings = read_contents(list_files(tmp_path, load(tmp_path)), tmp_path).findings

    assert findings.keys() == secret.keys()


def test_a_zip_bomb_costs_little() -> None:
    """A member larger than the limit is not inflated, and neither are more than the limit's bytes of all."""
    bomb = zip_of(**{f"m{number}": b"\n" * (4 << 20) for number in range(40)}, big=b"\n" * (64 << 20))

    assert sum(map(len, containers.texts(bomb))) <= 40 << 20


@pytest.mark.parametrize("line", ["AKIAABCDEFGH23456789 ", "?token=a1b2c3d4e5f6g7 ", "Bearer a1b2c3d4e5f6g7h8 "])
def test_a_text_of_suspicious_places_costs_little(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Places of one line are looked at together, and a file with very many findings is not searched on."""
    looks: list[str] = []
    whole = SecretSearch.secrets
    monkeypatch.setattr(SecretSearch, "secrets", lambda self, text: looks.append(text) or whole(self, text))

    assert found(line * 500)
    assert len(looks) <= len(line) * 500 / 100
    assert len(found(f"{line}\n" * 3000)) == 1000


def test_no_object_is_made_of_a_pickle() -> None:
    """Its program is read, not run."""

    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return pytest.fail, ("it ran",)

    assert b"it ran" in b"\n".join(containers.texts(pickle.dumps(Harmful())))


@pytest.mark.parametrize("name", ["a/.pgpass", ".my.cnf", "keys/deploy.ppk", ".envrc", "x/.azure/accessTokens.json"])
def test_files_are_known_by_their_names(name: str) -> None:
    """Password files of programs."""
    assert secret_kind(name)
