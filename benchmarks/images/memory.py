"""Peak memory and speed of turning wheels into layers.

    python benchmarks/images/memory.py [WHEEL ...]

Without arguments three wheels are made: one of 2,000 small files, one with a 400 MB file that compresses well, one with
a 200 MB file that doesn't. Each runs in a process of its own; "above start" is that process's peak less what it used
before it opened the wheel.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CHILD = """
import json, sys, time
from pathlib import Path
from prefect_vertex_training.images.wheels.wheel_layer import write_wheel_layer

def peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

wheel = Path(sys.argv[1])
before, start = peak(), time.perf_counter()
with open(sys.argv[2], "wb") as out:
    layer = write_wheel_layer(out, wheel, wheel.name, "3.11", wheel.name)
seconds = time.perf_counter() - start
print(json.dumps([layer.size, seconds, peak() - before]))
"""


def main(wheels: list[Path]) -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{'wheel':<40}  wheel MB  files MB  layer MB  seconds   MB/s  above start MB")
        for wheel in wheels or made(folder):
            command = [sys.executable, "-c", CHILD, str(wheel), str(folder / "layer")]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            size, seconds, above = json.loads(output)
            with zipfile.ZipFile(wheel) as archive:
                files = sum(info.file_size for info in archive.infolist())
            print(
                f"{wheel.name[:40]:<40} {wheel.stat().st_size / 1e6:>9.1f} {files / 1e6:>9.1f} {size / 1e6:>9.1f} "
                f"{seconds:>8.2f} {files / seconds / 1e6:>6.0f} {above / 1024:>15.1f}"
            )


def made(folder: Path) -> list[Path]:
    """Wheels for each way in which files are written."""
    line = b"x = 'some text that compresses as source does'\n"
    kinds = {
        "small": {f"pkg/m{number}.py": line * 60 for number in range(2000)},
        "dense": {"pkg/noise.bin": os.urandom(200_000_000)},
        "sparse": {"pkg/zeros.bin": bytes(400_000_000)},
    }
    return [make(folder, name, files) for name, files in kinds.items()]


def make(folder: Path, name: str, files: dict[str, bytes]) -> Path:
    """Writes one wheel."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file, content in files.items():
            archive.writestr(file, content)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in files))
    return path


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
