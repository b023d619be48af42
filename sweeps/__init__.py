"""Engine of sweeps: a trial's arguments, its metric, which trial comes next, and when there are enough."""
