"""How far diabetes went in a year, of 442 patients, through HTTP and beside scikit-learn.

python -m examples.diabetes [--seeds 10 | --choose]
"""

import sys

from sklearn.datasets import load_diabetes

from examples.choice import choose
from examples.comparison import Example, run

CHOICES = {
    "units": (16, 64, 256),
    "activation": ("tanh", "relu"),
    "dropout": (0.0, 0.2, 0.5),
    "weight_decay": (0.01, 0.03, 0.1),
}


def example() -> Example:
    diabetes = load_diabetes(scaled=False)
    return Example(
        title="diabetes",
        columns=diabetes.feature_names,
        x=diabetes.data,
        y=diabetes.target,
        task="regression",
        units=256,
        activation="relu",
        dropout=0.2,
        training={
            "epochs": 200,
            "weight_decay": 0.03,
            "test_fraction": 0.25,
            "validation_fraction": 0.0,  # the options are chosen; what was validated on is trained on
        },
        seconds=10.0,
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["--choose"]:
        choose(example(), CHOICES, seeds=20)
    else:
        run(example(), sys.argv[1:])
