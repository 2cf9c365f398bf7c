"""How far diabetes went in a year, of 442 patients, through HTTP and beside scikit-learn.

python -m examples.diabetes [--seeds 5]
"""

import sys

from sklearn.datasets import load_diabetes

from examples.comparison import Example, run


def example() -> Example:
    diabetes = load_diabetes(scaled=False)
    return Example(
        title="diabetes",
        columns=diabetes.feature_names,
        x=diabetes.data,
        y=diabetes.target,
        task="regression",
        units=16,
        activation="tanh",
        training={
            "epochs": 200,
            "weight_decay": 0.03,
            "test_fraction": 0.25,
            "validation_fraction": 0.0,  # the options are chosen; what was validated on is trained on
        },
        seconds=10.0,
    )


if __name__ == "__main__":
    run(example(), sys.argv[1:])
