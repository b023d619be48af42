import sys

write = sys.stdout.buffer.write
write(b"bad utf8 \xff\xfe\x00 nul\n" + b"L" * 300_000 + b"\n\x1b]0;title\x07\x1b[31mred\x1b[0m [bold]x[/bold] %s {}\n")
for number in range(50):
    write(b"\rbar %d%%" % number)
write(b'\n{"step": 1, "loss": NaN}\n{"step": 2, "loss": 1e999}\n')
sys.stdout.flush()
import os
import pathlib

folder = pathlib.Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
