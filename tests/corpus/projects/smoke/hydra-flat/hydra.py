import pathlib
import sys


def main(config_path="", config_name="", version_base=None):
    """What hydra.main does, as far as this project needs it: overrides of a flat configuration, and --help."""

    def decorate(function):
        def run():
            text = pathlib.Path(config_path, config_name + ".yaml").read_text()
            values = dict(line.strip().split(": ") for line in text.splitlines() if ": " in line)
            if "--help" in sys.argv:
                print("== Config ==\nOverride anything in the config (foo.bar=value)\n\n" + text + "\nPowered by Hydra")
                return
            for word in sys.argv[1:]:
                key, equals, value = word.partition("=")
                if not equals:
                    sys.exit(f"train.py: error: unrecognized arguments: {word}")
                if key.split(".")[-1] not in values:
                    sys.exit(f"Could not override '{key}'. Key '{key}' is not in struct")
                values[key.split(".")[-1]] = value
            function(values)

        return run

    return decorate
