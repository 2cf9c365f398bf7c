"""1,797 handwritten digits of 8 x 8 pixels, through HTTP and beside scikit-learn.

python -m examples.digits [--seeds 5]
"""

import sys

from sklearn.datasets import load_digits

from examples.comparison import Example, run


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
        training={
            "epochs": 100,
            "weight_decay": 0.001,
            "test_fraction": 0.25,
            "validation_fraction": 0.0,  # the options are chosen; what was validated on is trained on
        },
        seconds=10.0,
    )


if __name__ == "__main__":
    run(example(), sys.argv[1:])
