"""Engine of steps 3 and 4: layers, images, registries. Knows no Prefect."""
