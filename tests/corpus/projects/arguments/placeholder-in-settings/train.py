import pathlib
import sys

out = "./out"
for argument in sys.argv[1:]:
    key, equals, value = argument.partition("=")
    assert equals, f"expected KEY=VALUE, got {argument}"
    if key in ("--out_dir", "paths.output_dir", "hydra.run.dir"):
        out = value
pathlib.Path(out).mkdir(parents=True, exist_ok=True)
(pathlib.Path(out) / "model.txt").write_text("trained")
