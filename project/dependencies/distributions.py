"""The package that provides a module, and the step that adds a package to a project's dependency list."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from .formats import pyproject
from .formats.requirements_txt import package_of

_PACKAGES = {
    "absl": "absl-py", "attr": "attrs", "autosklearn": "auto-sklearn", "azure.storage": "azure-storage-blob",
    "azureml": "azureml-core", "bayes_opt": "bayesian-optimization", "Bio": "biopython", "Box2D": "box2d-py",
    "bs4": "beautifulsoup4", "community": "python-louvain", "Crypto": "pycryptodome", "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil", "decouple": "python-decouple", "docx": "python-docx", "dotenv": "python-dotenv",
    "faiss": "faiss-cpu", "fitz": "pymupdf", "git": "gitpython", "google.api_core": "google-api-core",
    "google.auth": "google-auth", "google.cloud": "google-cloud-storage", "google.genai": "google-genai",
    "google.generativeai": "google-generativeai", "google.oauth2": "google-auth", "google.protobuf": "protobuf",
    "googleapiclient": "google-api-python-client", "grpc": "grpcio", "haiku": "dm-haiku", "hydra": "hydra-core",
    "hypertune": "cloudml-hypertune", "ignite": "pytorch-ignite", "imblearn": "imbalanced-learn",
    "jose": "python-jose", "jwt": "pyjwt", "kerastuner": "keras-tuner", "Levenshtein": "levenshtein",
    "llama_cpp": "llama-cpp-python", "magic": "python-magic", "MeCab": "mecab-python3", "mpl_toolkits": "matplotlib",
    "mysql": "mysql-connector-python", "MySQLdb": "mysqlclient", "nvidia_smi": "nvidia-ml-py",
    "openbabel": "openbabel-wheel", "OpenGL": "pyopengl", "openslide": "openslide-python", "OpenSSL": "pyopenssl",
    "orbax": "orbax-checkpoint", "osgeo": "gdal", "PIL": "pillow", "pkg_resources": "setuptools<81",
    "pl_bolts": "lightning-bolts", "pptx": "python-pptx", "psycopg2": "psycopg2-binary", "pybullet_envs": "pybullet",
    "pynvml": "nvidia-ml-py", "pythonjsonlogger": "python-json-logger", "pytorch_lightning": "pytorch-lightning",
    "pywt": "pywavelets", "ruamel": "ruamel.yaml", "ruamel.yaml": "ruamel.yaml",
    "sentence_transformers": "sentence-transformers", "serial": "pyserial", "skbio": "scikit-bio",
    "skimage": "scikit-image", "sklearn": "scikit-learn", "sklearnex": "scikit-learn-intelex",
    "skmultilearn": "scikit-multilearn", "skopt": "scikit-optimize", "sksurv": "scikit-survival",
    "slugify": "python-slugify", "snowflake": "snowflake-connector-python", "speech_recognition": "speechrecognition",
    "surprise": "scikit-surprise", "talib": "ta-lib", "tree": "dm-tree", "umap": "umap-learn",
    "vertexai": "google-cloud-aiplatform", "websocket": "websocket-client", "yaml": "pyyaml", "zmq": "pyzmq",
}  # fmt: skip
"""Packages whose name differs from that of their module."""
_ADD = {
    "uv.lock": "Run uv add {}",
    "poetry.lock": "Run poetry add {}",
    "pdm.lock": "Run pdm add {}",
    "Pipfile.lock": "Run pipenv install {}",
    "pyproject.toml": "Add {} to dependencies in pyproject.toml",
    "setup.cfg": "Add {} to install_requires in setup.cfg",
    "setup.py": "Add {} to install_requires in setup.py",
    "conda": "Add {} to environment.yml",
    "environment": "Install {} in that environment",
}


def package_for(module: str, owners: Mapping[str, Sequence[str]]) -> str:
    """The package that provides a module.

    Args:
        module: Its name, with dots.
        owners: Packages that are installed on this machine by top-level module.
    """
    parts = module.split(".")
    if parts[:2] == ["google", "cloud"] and len(parts) > 2:
        return f"google-cloud-{parts[2].replace('_', '-')}"
    for length in range(len(parts), 0, -1):
        if found := _PACKAGES.get(".".join(parts[:length])):
            return found
    if (found := owners.get(parts[0])) and len(found) == 1:
        return found[0]
    return parts[0].replace("_", "-")


def how_to_add(root: Path, method: str, packages: Sequence[str]) -> str:
    """The next step that adds packages to the list that is frozen."""
    if choice := _choice(root, packages):
        return choice
    names = " ".join(map(shlex.quote, packages))
    joined = ", ".join(packages)
    if method == "nothing":
        document = pyproject.document(root)
        method = "pyproject.toml" if "project" in document else "requirements.txt"
    if method.endswith(".py") and method not in _ADD:
        return f"Run uv add --script {method} {names}"
    template = _ADD.get(method, f"Add {{}} to {method}")
    if method == "pyproject.toml" and "poetry" in pyproject.document(root).get("tool", {}):
        template = "Run poetry add {}"
    return template.format(names if template.startswith("Run") else joined)


def _choice(root: Path, packages: Sequence[str]) -> str | None:
    """The setting that chooses an extra or group which has all the packages; None if there is none."""
    wanted = {canonicalize_name(package) for package in packages}
    for key, known in (("extras", pyproject.extras(root)), ("groups", pyproject.groups(root))):
        for name, texts in known.items():
            if wanted <= {package_of(text) for text in texts}:
                return f'Set {key} = ["{name}"] under [tool.vertex-training]: it has {", ".join(packages)}'
    return None
