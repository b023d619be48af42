"""The supervisor: a small daemon that starts the processes of jobs and outlives the service.

One daemon serves each folder of runs. It imports only the standard library and is started by its path in isolated mode
(`python -I -S`), which takes 20 ms.
"""
