"""Trains a classifier of scikit-learn's bundled handwritten digits; its parameters are searched by a sweep."""

import argparse
import json
import os
from pathlib import Path

import joblib
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=["network", "forest"], default="network")
    parser.add_argument("--lr", type=float, default=0.0003, help="of the network")
    parser.add_argument("--depth", type=int, default=4, help="of the forest's trees")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--model-dir", default=os.environ.get("AIP_MODEL_DIR", "model"))
    return parser.parse_args()


def train_network(options, data):
    """Reports after each epoch, so that a sweep can end a bad trial early."""
    train_x, test_x, train_y, test_y = data
    scaler = StandardScaler().fit(train_x)
    network = MLPClassifier(hidden_layer_sizes=(64,), learning_rate_init=options.lr, random_state=0)
    for epoch in range(1, options.epochs + 1):
        network.partial_fit(scaler.transform(train_x), train_y, classes=range(10))
        accuracy = network.score(scaler.transform(test_x), test_y)
        print(json.dumps({"epoch": epoch, "accuracy": round(accuracy, 4)}), flush=True)
    return make_pipeline(scaler, network)


def train_forest(options, data):
    train_x, test_x, train_y, test_y = data
    forest = RandomForestClassifier(max_depth=options.depth, random_state=0).fit(train_x, train_y)
    print(json.dumps({"accuracy": round(forest.score(test_x, test_y), 4)}), flush=True)
    return forest


def main():
    options = parse_arguments()
    images, labels = load_digits(return_X_y=True)
    data = train_test_split(images, labels, test_size=0.25, stratify=labels, random_state=0)
    model = train_network(options, data) if options.kind == "network" else train_forest(options, data)
    folder = Path(options.model_dir.replace("gs://", "/gcs/", 1))
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib")


if __name__ == "__main__":
    main()
