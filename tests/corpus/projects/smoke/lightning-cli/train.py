# argparse, as jsonargparse and LightningCLI show it
import sys

words = sys.argv[1:]
if "--help" in words or "-h" in words:
    print("""usage: train.py [-h] [--config CONFIG] {fit,validate} ...

subcommands:
  For more details of each subcommand, add it as an argument followed by --help.

  Available subcommands:
    fit                 Runs the full optimization routine.
    validate            Perform one evaluation epoch.
""" if words[0] not in ("fit", "validate") else """usage: train.py [options] fit [-h] [--trainer.max_epochs MAX_EPOCHS] [--trainer.limit_train_batches N]

Customize every detail of training:
  --trainer.max_epochs MAX_EPOCHS
                        Stop training once this number of epochs is reached. (type: int | None, default: null)
  --trainer.max_steps MAX_STEPS
                        (type: int, default: -1)
""")
    sys.exit(0)
if not words or words[0] not in ("fit", "validate"):
    sys.exit("error: expected 'subcommand' to be one of {fit,validate}")
options = {"--trainer.max_epochs": "1000"}
for word in words[1:]:
    key, _, value = word.partition("=")
    if key not in ("--trainer.max_epochs", "--trainer.max_steps", "--config") and key.startswith("--"):
        sys.exit(f"error: Unrecognized arguments: {word}")
for key, value in zip(words[1:], [*words[2:], ""]):
    name, equals, given = key.partition("=")
    options[name] = given if equals else value
print("max_epochs", options["--trainer.max_epochs"])
import os
import pathlib

folder = pathlib.Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
