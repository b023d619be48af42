import sys

print("In 'main': Could not find 'hydra/job_logging/colorlog'")
print("Available options in 'hydra/job_logging':")
for name in ("default", "disabled", "none", "stdout"):
    print(f"\t{name}")
print("Config search path:\n\tprovider=main, path=file:///config\n\tprovider=schema, path=structured://\n")
sys.exit("Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.")
