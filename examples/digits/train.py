"""Trains a small neural network on scikit-learn's bundled handwritten digits."""

import argparse
import json
import os
from pathlib import Path

import joblib
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training images")
    parser.add_argument("--hidden", type=int, default=64, help="neurons in the hidden layer")
    parser.add_argument("--learning-rate", type=float, default=0.003)
    parser.add_argument(
        "--model-dir",
        default=os.environ.get("AIP_MODEL_DIR", "model"),
        help="where to save the model: a folder, or gs://BUCKET/FOLDER",
    )
    return parser.parse_args()


def local_folder(place):
    """The path of a folder in a bucket: Vertex AI mounts every bucket under /gcs."""
    return Path(place.replace("gs://", "/gcs/", 1) if place.startswith("gs://") else place)


def main():
    arguments = parse_arguments()
    images, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(images, labels, test_size=0.25, stratify=labels, random_state=0)
    scaler = StandardScaler().fit(train_x)
    network = MLPClassifier(
        hidden_layer_sizes=(arguments.hidden,), learning_rate_init=arguments.learning_rate, random_state=0
    )
    accuracies = []
    for epoch in range(1, arguments.epochs + 1):
        network.partial_fit(scaler.transform(train_x), train_y, classes=range(10))
        accuracy = network.score(scaler.transform(test_x), test_y)
        accuracies.append(accuracy)
        numbers = {
            "epoch": epoch,
            "epochs": arguments.epochs,
            "loss": round(network.loss_, 4),
            "accuracy": round(accuracy, 4),
        }
        print(json.dumps(numbers), flush=True)

    folder = local_folder(arguments.model_dir)
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(make_pipeline(scaler, network), folder / "model.joblib")
    metrics = {"epochs": arguments.epochs, "accuracy": accuracies[-1], "history": accuracies}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(f"saved model.joblib and metrics.json in {arguments.model_dir}", flush=True)


if __name__ == "__main__":
    main()
