import argparse


def main():
    import os

    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", dest="epochs", type=int, default=50)
    parser.add_argument("--rate", type=float, default=0.1)
    options = parser.parse_args()
    print(options)
    folder = os.environ["VERTEX_TRAINING_MODEL_DIR"]
    os.makedirs(folder, exist_ok=True)
    open(folder + "/model.txt", "w").write(str(options.epochs))


main()
