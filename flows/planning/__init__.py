"""What a run will do, decided before it does anything: the run consumes the plan, and a command prints it."""
