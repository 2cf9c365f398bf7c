"""What a client may ask of a job: its training options, where it starts, what it is called."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from app.architectures.schemas import ArchitectureSpec
from app.jobs.optimizers import Adam, Optimizer
from app.jobs.schedules import Constant, Schedule
from app.schemas import Labels, Matrix, Name, Numbers, Reference, Renamed, Request, word_or

Priority = Annotated[int, Field(ge=-100, le=100)]
Fraction = Annotated[float, Field(ge=0, lt=1, examples=[0.15])]
MOST_FOLDS = 20
Weight = Annotated[float, Field(ge=0, le=1e12)]


class EarlyStopping(Request):
    """Stop when the monitored cost has not fallen for a while. Names as in Keras."""

    monitor: Literal["validation_cost", "cost"] = Field(
        "validation_cost", description="The column of the history that is watched.", examples=["cost"]
    )
    min_delta: float = Field(0.0, ge=0, description="A smaller fall does not count.", examples=[0.0001])
    patience: int = Field(
        20, ge=1, le=1_000_000, description="Epochs without a fall before stopping.", examples=[20]
    )
    restore_best_weights: bool = Field(
        True, description="End with the parameters of the best epoch.", examples=[True]
    )
    start_from_epoch: int = Field(
        0, ge=0, le=10_000_000, description="Epochs that are not looked at.", examples=[10]
    )


class Fold(Request):
    """One of the parts of a cross-validation: its rows are the test rows."""

    index: int = Field(ge=0, lt=MOST_FOLDS, description="Which one, from 0.", examples=[0])
    of: int = Field(ge=2, le=MOST_FOLDS, description="How many there are.", examples=[5])


class Training(Request):
    """How to train. What is left out, or "auto", is resolved when the job is made."""

    preset: Literal["paper"] | None = Field(
        None,
        description="paper: squared_error, gradient_descent, full batch, no split, no early stopping, no "
        "standardizing, float64, one input for each number. "
        "Fields beside it win.",
        examples=["paper"],
    )
    cost: Literal["auto", "squared_error", "cross_entropy", "absolute_error", "huber"] = Field(
        "auto",
        description="J of an example, with its error e = a - y: squared_error is (5), sum e^2/2; "
        "absolute_error sum |e|; huber sum of e^2/2 where |e| <= 1, else |e| - 1/2; cross_entropy "
        "-sum y ln a, for classification. auto: cross_entropy for classification, squared_error for "
        "regression.",
        examples=["cross_entropy"],
    )
    optimizer: Optimizer = Adam()
    learning_rate_schedule: Schedule = Constant()
    batch_size: word_or(Literal["auto", "full"], Annotated[int, Field(ge=1, le=2**31)]) = Field(  # type: ignore[valid-type]
        "auto",
        description="Examples per step; a smaller last minibatch is used, not dropped. full: all of them. "
        "auto: 32 to 256, by the number of training rows, and with the architecture auto 16 of up to 400; "
        "full for lbfgs, which takes no other.",
        examples=[32],
    )
    epochs: int = Field(
        200, ge=1, le=10_000_000, description="Most passes over the training rows.", examples=[100]
    )
    time_budget_seconds: float | None = Field(
        None,
        gt=0,
        description="Most seconds of training, as the epochs' seconds count them; null: no limit.",
        examples=[60.0],
    )
    weight_decay: word_or(Literal["auto"], Annotated[float, Field(ge=0)]) = Field(  # type: ignore[valid-type]
        "auto",
        description="lambda of (6): not divided by m, weights only. auto: 0.001 with the architecture auto, "
        "and 0 with any other.",
        examples=[0.0001],
    )
    gradient_clip_norm: float | None = Field(
        None,
        gt=0,
        description="Longest gradient, as the Euclidean norm of (9) and (10) together, that a step goes by; "
        "a longer one is scaled down to it. null: no limit.",
        examples=[1.0],
    )
    validation_fraction: Fraction = Field(0.15, description="Share of rows that steer early stopping.")
    test_fraction: Fraction = Field(0.15, description="Share of rows held out until the end.")
    split_id: Reference | None = Field(
        None,
        description="A stored split of this dataset and target, instead of the fractions, stratify and "
        "split_seed: jobs that share it compare fairly, whatever their seed.",
        examples=["split_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )
    split_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        None,
        description="Decides which rows are in which part; null: the seed does, as it decides the rest.",
        examples=[42],
    )
    fold: Fold | None = Field(
        None,
        description="Hold out this one of so many parts of the dataset, in place of a test_fraction. "
        "POST /v1/cross-validations makes a job for each.",
        examples=[{"index": 0, "of": 5}],
    )
    stratify: word_or(Literal["auto"], bool) = Field(  # type: ignore[valid-type]
        "auto", description="Split each class in proportion; auto: for classification.", examples=[True]
    )
    early_stopping: EarlyStopping | None = Field(
        EarlyStopping(),
        description="When to stop before the last epoch. null: train every epoch.",
        examples=[{"patience": 10}],
    )
    standardize: bool = Field(
        True,
        description="Scale number features, and a regression target, to mean 0 and deviation 1 on the "
        "training rows. Costs are then in scaled units, metrics and predictions in raw ones.",
        examples=[True],
    )
    missing_indicators: bool = Field(
        True,
        description="One more input for each feature of which min_frequency values are missing: 1 where "
        "it is missing, else 0. It is imputed either way: by the mean, or the most frequent value.",
        examples=[True],
    )
    min_frequency: int = Field(
        5,
        ge=1,
        le=2**31,
        description="Rows of the dataset that an input of its own takes, or one row in 50 if that is fewer. "
        "Categories with fewer rows share an input, which also stands for those that are met later.",
        examples=[10],
    )
    class_weight: word_or(Literal["balanced"], dict[str, Weight]) | None = Field(  # type: ignore[valid-type]
        None,
        description="What each row of a class counts in costs and gradients: by class, 1 for those left out; "
        "or balanced: training rows / (classes * training rows of the class). Metrics count every row alike.",
        examples=["balanced"],
    )
    sample_weight_column: Annotated[str, Field(max_length=255)] | None = Field(
        None,
        description="A number column with what each row counts in costs and gradients, beside its class's "
        "weight; it is no feature. Metrics count every row alike.",
        examples=["weight"],
    )
    shuffle: bool = Field(True, description="New minibatches every epoch.", examples=[True])
    seed: int = Field(
        0, ge=0, lt=2**63, description="Decides split, first weights and shuffling.", examples=[42]
    )
    dtype: Literal["float32", "float64"] = Field(
        "float32", description="The numbers that training computes with.", examples=["float64"]
    )
    threads: word_or(Literal["auto"], Annotated[int, Field(ge=1, le=256)]) = Field(  # type: ignore[valid-type]
        "auto",
        description="Cores of this job; they never change a bit of the result. auto: the server's cores over "
        "its trainer slots; 1 where a step is too small to be shared.",
        examples=[1],
    )
    keep_epochs: word_or(  # type: ignore[valid-type]
        Literal["auto", "powers_of_two", "last", "all"],
        Annotated[list[Annotated[int, Field(ge=1, le=10_000_000)]], Field(min_length=1, max_length=1000)],
    ) = Field(
        "auto",
        description="The epochs whose snapshots stay when newer ones are written; the last one always stays. "
        "powers_of_two: 1, 2, 4, 8, …; or a list of epochs. auto: powers_of_two, or last where they would "
        "take more room than this server gives a job.",
        examples=["powers_of_two"],
    )

    @model_validator(mode="before")
    @classmethod
    def _name_the_defaults(cls, sent: Any) -> Any:
        if not isinstance(sent, dict):
            return sent
        defaults = {
            "optimizer": "gradient_descent" if sent.get("preset") == "paper" else "adam",
            "learning_rate_schedule": "constant",
        }
        nameless = {field: sent[field] for field in defaults if isinstance(sent.get(field), dict)}
        return {**sent, **{field: {"name": defaults[field], **each} for field, each in nameless.items()}}


class LayerParameters(Request):
    """W^(l), s_{l+1} rows of s_l numbers, and b^(l), s_{l+1} numbers."""

    W: Matrix = Field(
        description="W^(l): s_{l+1} rows of s_l numbers.", examples=[[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]]
    )
    b: Numbers = Field(description="b^(l): s_{l+1} numbers.", examples=[[0.0, 0.0, 0.0]])


def _targets(value: object) -> str:
    return "several" if isinstance(value, list) else "one"


class JobCreate(Request):
    """A training run. Only a dataset and a target are needed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"dataset_id": "ds_0n5c1k4v8d2s6m9q3x7z1b5f", "target": "species"},
                {
                    "dataset_id": "ds_0n5c1k4v8d2s6m9q3x7z1b5f",
                    "target": "y",
                    "architecture": {
                        "layers": [{"units": 3, "activation": "sigmoid"}],
                        "output": {"activation": "sigmoid"},
                    },
                    "training": {"preset": "paper", "epochs": 1000, "optimizer": {"learning_rate": 0.5}},
                },
            ]
        }
    )

    dataset_id: Reference = Field(
        description="The dataset to learn from.", examples=["ds_0n5c1k4v8d2s6m9q3x7z1b5f"]
    )
    target: Annotated[
        Annotated[str, Tag("one")]
        | Annotated[list[str], Field(min_length=1, max_length=1000), Tag("several")],
        Discriminator(_targets),
    ] = Field(description="The column to predict, or several numeric ones.", examples=["species"])
    task: Literal["auto", "classification", "regression"] = Field(
        "auto",
        description="auto: classification for a category, a boolean, or integers with at most 10 distinct "
        "values (with a warning), else regression.",
        examples=["classification"],
    )
    features: list[str] | None = Field(
        None,
        max_length=5000,
        description="The columns to predict from; default: every one with used_by_default.",
        examples=[["bill_length_mm", "bill_depth_mm"]],
    )
    architecture: word_or(Literal["auto"], ArchitectureSpec) = Field(  # type: ignore[valid-type]
        "auto",
        description="The network's layers; auto: a hidden layer of relu units, 100 or, from 100 inputs "
        "on, 256, with a dropout of 0.2 from 4 inputs on; or the layers of the initial model.",
        examples=[{"layers": [{"units": 16, "activation": "tanh"}]}],
    )
    architecture_id: Reference | None = Field(
        None,
        description="A stored architecture instead.",
        examples=["arch_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )
    training: Training = Field(
        Training(), description="How to train.", examples=[{"epochs": 100, "seed": 42}]
    )
    initial_parameters: list[LayerParameters] | None = Field(
        None,
        description="Where to start: W^(1), b^(1), W^(2), … in the paper's shapes. Default: as each layer's "
        "initialization says.",
        examples=[
            [
                {"W": [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], "b": [0.0, 0.0, 0.0]},
                {"W": [[0.1, 0.2, 0.3]], "b": [0.0]},
            ]
        ],
    )
    initial_model_id: Reference | None = Field(
        None,
        description="A model of this project to start from, or an alias: its parameters, and with the "
        "architecture auto its layers too. Features and targets are encoded anew.",
        examples=["mdl_0n5c1k4v8d2s6m9q3x7z1b5f"],
    )
    priority: Priority = Field(0, description="Higher runs first.", examples=[10])
    name: Name | None = Field(
        None, description="Your name for the job and its model.", examples=["penguins, first try"]
    )
    metadata: Labels = Field({}, examples=[{"team": "biology"}])


class JobChange(Renamed):
    """New name, metadata or priority of a job; a field that is left out stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "penguins, second try", "priority": 10}]}
    )

    priority: Priority | None = Field(
        None,
        description="The new priority, for the next time that a worker looks for a job; null leaves it.",
        examples=[10],
    )
