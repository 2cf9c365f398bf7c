"""1,797 handwritten digits of 8 x 8 pixels, through HTTP and beside scikit-learn.

python -m examples.digits [--seeds 5 | --choose]
"""

import sys

from sklearn.datasets import load_digits

from examples.choice import choose
from examples.comparison import Example, run

CHOICES = {
    "dropout": (0.0, 0.2, 0.5),
    "weight_decay": (0.0, 0.001, 0.003, 0.01),
    "learning_rate_schedule": ({"name": "constant"}, {"name": "cosine"}),
}


def example() -> Example:
    digits = load_digits()
    return Example(
        title="digits",
        columns=digits.feature_names,
        x=digits.data,
        y=digits.target,
        task="classification",
        units=128,
        activation="relu",
        dropout=0.2,
        training={
            "epochs": 100,
            "weight_decay": 0.001,
            "test_fraction": 0.25,
            "validation_fraction": 0.0,  # the options are chosen; what was validated on is trained on
        },
        seconds=10.0,
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["--choose"]:
        choose(example(), CHOICES, seeds=8)
    else:
        run(example(), sys.argv[1:])
