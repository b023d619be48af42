raise RuntimeError("DataLoader worker (pid 4242) is killed by signal: Killed. ")
