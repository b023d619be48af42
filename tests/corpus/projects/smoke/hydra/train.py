import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    print("epochs", cfg["max_epochs"] if "max_epochs" in cfg else cfg["epochs"])
    import os

    folder = os.environ["VERTEX_TRAINING_MODEL_DIR"]
    os.makedirs(folder, exist_ok=True)
    open(folder + "/model.txt", "w").write("trained")


main()
