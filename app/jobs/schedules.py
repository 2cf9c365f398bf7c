"""The wire form of learning rate schedules: alpha, epoch by epoch."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from app.jobs.optimizers import nameless
from app.schemas import Request

Warmup = Annotated[
    int,
    Field(
        ge=0,
        le=10_000_000,
        description="Epochs at first in which alpha rises evenly to the optimizer's; the schedule begins "
        "behind them.",
        examples=[5],
    ),
]
Share = Annotated[float, Field(gt=0, le=1)]


class Constant(Request):
    """The optimizer's learning rate in every epoch."""

    name: Literal["constant"] = Field("constant", description="Which schedule.", examples=["constant"])
    warmup_epochs: Warmup = 0


class Step(Request):
    """alpha times factor after every so many epochs."""

    name: Literal["step"] = Field("step", description="Which schedule.", examples=["step"])
    every: int = Field(ge=1, le=10_000_000, description="Epochs from one step to the next.", examples=[30])
    factor: Share = Field(0.1, description="What alpha is multiplied with.", examples=[0.1])
    warmup_epochs: Warmup = 0


class Exponential(Request):
    """alpha times factor after each epoch."""

    name: Literal["exponential"] = Field(
        "exponential", description="Which schedule.", examples=["exponential"]
    )
    factor: Share = Field(description="What alpha is multiplied with.", examples=[0.99])
    warmup_epochs: Warmup = 0


class Cosine(Request):
    """Half a cosine, from the optimizer's learning rate to the final one in the last epoch."""

    name: Literal["cosine"] = Field("cosine", description="Which schedule.", examples=["cosine"])
    final_learning_rate: float = Field(
        0.0,
        ge=0,
        description="alpha of the last epoch; at most the optimizer's.",
        examples=[0.0001],
    )
    warmup_epochs: Warmup = 0


class Plateau(Request):
    """alpha times factor when validation_cost (cost, where no rows validate) has not fallen for a while."""

    name: Literal["plateau"] = Field("plateau", description="Which schedule.", examples=["plateau"])
    factor: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="What alpha is multiplied with.", examples=[0.5]
    )
    patience: int = Field(
        10, ge=1, le=1_000_000, description="Epochs without a fall before alpha does.", examples=[10]
    )
    warmup_epochs: Warmup = 0


Schedule = Annotated[
    Annotated[Constant, Tag("constant")]
    | Annotated[Step, Tag("step")]
    | Annotated[Exponential, Tag("exponential")]
    | Annotated[Cosine, Tag("cosine")]
    | Annotated[Plateau, Tag("plateau")],
    Field(
        discriminator="name",
        description="How alpha changes from epoch to epoch. Without a name it is constant.",
        examples=[{"name": "cosine", "warmup_epochs": 5}],
        json_schema_extra=nameless,
    ),
]
