"""The tutorial's networks in plain PyTorch, eager, on tensors in memory; nothing else needs PyTorch.

Usage: python tests/benchmarks/torch_tutorial.py mlp|cnn_simple|cnn_large EPOCHS
Prints one line of JSON, as tutorial.py does.
"""

import json
import sys
import time

import torch  # type: ignore[import-not-found]
from torch import nn

from mnist_exp import datasets

BATCH = 200


def build(name: str) -> nn.Module:
    """The tutorial's network of that name, to logits."""
    if name == "mlp":
        layers = [nn.Flatten(), nn.Linear(784, 784), nn.ReLU(), nn.Linear(784, 10)]
    elif name == "cnn_simple":
        layers = [nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2), nn.Flatten()]
        layers += [nn.Linear(4608, 128), nn.ReLU(), nn.Linear(128, 10)]
    else:
        layers = [nn.Conv2d(1, 30, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(30, 15, 3), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Dropout(0.2), nn.Flatten(), nn.Linear(375, 128), nn.ReLU(), nn.Linear(128, 50), nn.ReLU()]
        layers += [nn.Linear(50, 10)]
    return nn.Sequential(*layers)


def main(name: str, epochs: int) -> None:
    """Train as the tutorial does."""
    torch.manual_seed(7)
    data = datasets.load("mnist")
    train, test = (
        torch.tensor(images.transpose(0, 3, 1, 2)).float() / 255 for images in (data.train_images, data.test_images)
    )
    train_labels, test_labels = (torch.tensor(labels).long() for labels in (data.train_labels, data.test_labels))
    model = build(name)
    optimizer, loss_of = torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss()
    seconds = []
    for _ in range(epochs):
        began = time.perf_counter()
        model.train()
        order = torch.randperm(len(train))
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            optimizer.zero_grad()
            loss_of(model(train[batch]), train_labels[batch]).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - began)
        model.eval()
        with torch.no_grad():
            wrong = (model(test).argmax(dim=1) != test_labels).float().mean()
    print(json.dumps({"seconds": seconds, "error_percent": 100 * float(wrong)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
