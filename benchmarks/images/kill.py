"""Kills builds with SIGKILL at random moments; the next build must be right each time.

    python benchmarks/images/kill.py [--times 50] [--seed 1]

Every round starts with a build that is killed somewhere between its first and its last moment: while wheels are
downloaded (from a server here), made into layers, sent to a target, or tagged. Afterwards no half-made image may be
listed in the store or the target, every blob and cached layer must be what its name says, and a build in the same
folders must give the digest that a build in empty ones gives.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import hashlib
import http.server
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

from prefect_vertex_training.images.build import build
from prefect_vertex_training.images.oci.image_types import ImageRequest
from prefect_vertex_training.images.oci.layout import OciLayout
from prefect_vertex_training.project.files.project_file import ProjectFile

NAME = "demo"


def main() -> int:
    """Runs the campaign; 1 if a round failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        campaign = Campaign(Path(name), chance)
        failures = rounds = 0
        while campaign.killed < options.times:  # some builds end before they are killed
            failures += not campaign.round(rounds)
            rounds += 1
        campaign.close()
    print(f"{campaign.killed} builds killed in the middle, {rounds} checked afterwards, {failures} wrong")
    return 1 if failures else 0


class Campaign:
    """A project with wheels on a local server."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.chance = chance
        self.killed = 0
        self.root = folder / "project"
        self.root.mkdir()
        for number in range(200):
            (self.root / f"part{number}.bin").write_bytes(chance.randbytes(20_000))
        wheels = [_wheel(folder / "wheels", f"pkg{number}", chance, size) for number, size in enumerate(SIZES)]
        handler = functools.partial(_Quiet, directory=str(folder / "wheels"))
        self.server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.lock = _lock(wheels, f"http://127.0.0.1:{self.server.server_port}")
        (self.root / "train.py").write_text("print(0)\n")
        began = time.perf_counter()
        self._build(folder / "warm-up")
        self.seconds = time.perf_counter() - began

    def close(self) -> None:
        """Ends the server."""
        self.server.shutdown()

    def round(self, number: int) -> bool:
        """One killed build and the checks after it; returns whether they passed."""
        (self.root / "train.py").write_text(f"print({number})\n")
        folder = self.folder / f"round{number // 5}"  # cold, then four times with the files that killed builds left
        delay = self.chance.uniform(0, self.seconds * (1.1 if number % 5 == 0 else 0.5))
        child = os.fork()
        if child == 0:
            try:
                self._build(folder)
            finally:
                os._exit(0)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        self.killed += os.waitpid(child, 0)[1] == signal.SIGKILL
        for layout in (OciLayout(folder / "images", NAME), OciLayout(folder / "target", NAME)):
            for entry in _entries(layout):
                if not layout.is_whole(entry):
                    print(f"round {number}: {layout} lists a half-made image")
                    return False
        digest = self._build(folder)
        expected = self._build(self.folder / f"clean{number}")
        problem = _damage(folder)
        if digest != expected or problem:
            print(f"round {number}, killed after {delay:.3f} s: {digest} for {expected}; {problem}")
            return False
        return True

    def _build(self, folder: Path) -> str:
        files = [ProjectFile(path.name, path, path.stat().st_size, False) for path in sorted(self.root.iterdir())]
        request = ImageRequest(NAME, self.root, files, "train.py", self.lock, "3.11", fingerprint="f" * 64)
        target = OciLayout(folder / "target", NAME)
        return build(request, OciLayout(folder / "images", NAME), cache=folder / "cache", upload_to=target).digest


SIZES = (3_000_000, 2_000_000, 1_000_000, 500_000, 50_000, 20_000, 5_000)


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Ignores clients that were killed."""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _wheel(folder: Path, name: str, chance: random.Random, size: int) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}/__init__.py", "")
        archive.writestr(f"{name}/data.bin", chance.randbytes(size))
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def _lock(wheels: list[Path], address: str) -> str:
    lines = ['lock-version = "1.0"', 'created-by = "benchmark"']
    for wheel in wheels:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lines += ["[[packages]]", f'name = "{wheel.name.split("-")[0]}"', 'version = "1.0"']
        lines += [f'wheels = [{{ url = "{address}/{wheel.name}", hashes = {{ sha256 = "{digest}" }} }}]']
    return "\n".join(lines)


def _entries(layout: OciLayout) -> list[str]:
    index = layout.folder / "index.json"
    return [entry["digest"] for entry in json.loads(index.read_bytes())["manifests"]] if index.exists() else []


def _damage(folder: Path) -> str:
    for path in folder.glob("*/blobs/sha256/*"):
        if not path.name.startswith(".") and hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
            return f"{path} is damaged"
    for record in (folder / "cache/layers/wheels").glob("*.json"):
        layer = json.loads(record.read_bytes())["layer"]
        data = record.with_suffix(".layer").read_bytes()
        plain = hashlib.sha256(gzip.decompress(data)).hexdigest()
        if (f"sha256:{hashlib.sha256(data).hexdigest()}", f"sha256:{plain}") != (layer["digest"], layer["diff_id"]):
            return f"{record} is wrong"
    return ""


if __name__ == "__main__":
    sys.exit(main())
