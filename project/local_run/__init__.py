"""The local run of the script: interpreter, environment, process, memory, and the cause of a failure."""
