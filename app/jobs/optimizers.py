"""The wire form of optimizers: how parameters are updated."""

from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from app.schemas import Request

Decay = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0)]
LearningRate = Annotated[float, Field(gt=0, description="alpha: the length of a step.", examples=[0.01])]
Kept = Annotated[Decay, Field(description="Share of the velocity that is kept.", examples=[0.9])]
Beta1 = Annotated[Decay, Field(description="Decay of the gradient's running mean.", examples=[0.9])]
Beta2 = Annotated[Decay, Field(description="Decay of its square's running mean.", examples=[0.999])]
Epsilon = Annotated[Rate, Field(description="Keeps the division from zero.", examples=[1e-8])]


class GradientDescent(Request):
    """(7)-(8) of the paper: θ ← θ − alpha·∇."""

    name: Literal["gradient_descent"] = Field(
        "gradient_descent", description="Which optimizer.", examples=["gradient_descent"]
    )
    learning_rate: Rate = Field(0.1, description="alpha of (7)-(8).", examples=[0.1])


class Momentum(Request):
    """Gradient descent with a velocity v: v ← momentum·v − alpha·∇, θ ← θ + v."""

    name: Literal["momentum"] = Field("momentum", description="Which optimizer.", examples=["momentum"])
    learning_rate: LearningRate = 0.01
    momentum: Kept = 0.9


class Nesterov(Request):
    """Momentum that looks ahead: v ← momentum·v − alpha·∇, θ ← θ + momentum·v − alpha·∇."""

    name: Literal["nesterov"] = Field("nesterov", description="Which optimizer.", examples=["nesterov"])
    learning_rate: LearningRate = 0.01
    momentum: Kept = 0.9


class RMSprop(Request):
    """s ← rho·s + (1 − rho)·∇², θ ← θ − alpha·∇ / (√s + epsilon): Tieleman & Hinton 2012."""

    name: Literal["rmsprop"] = Field("rmsprop", description="Which optimizer.", examples=["rmsprop"])
    learning_rate: LearningRate = 0.001
    rho: Decay = Field(0.9, description="Decay of the gradient's square's running mean.", examples=[0.9])
    epsilon: Epsilon = 1e-7


class Adam(Request):
    """Kingma & Ba 2015, algorithm 1, with both bias corrections."""

    name: Literal["adam"] = Field("adam", description="Which optimizer.", examples=["adam"])
    learning_rate: LearningRate = 0.001
    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    epsilon: Epsilon = 1e-8


class AdamW(Request):
    """Adam whose decay is apart from the gradient: Loshchilov & Hutter 2019."""

    name: Literal["adamw"] = Field("adamw", description="Which optimizer.", examples=["adamw"])
    learning_rate: LearningRate = 0.001
    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    epsilon: Epsilon = 1e-8
    decoupled_weight_decay: float = Field(
        0.01,
        ge=0,
        description="Each step also takes alpha times this share of W away; of no b. It is no part of the "
        "cost, as weight_decay is.",
        examples=[0.01],
    )


class LBFGS(Request):
    """Limited-memory BFGS with a strong Wolfe line search: full batch only, and no learning rate."""

    name: Literal["lbfgs"] = Field("lbfgs", description="Which optimizer.", examples=["lbfgs"])
    memory: int = Field(
        10, ge=1, le=1000, description="Past steps that shape the next; each is kept.", examples=[10]
    )
    tolerance: float = Field(
        1e-7,
        ge=0,
        description="It has converged when no element of the gradient is larger.",
        examples=[1e-7],
    )


def nameless(schema: dict[str, Any]) -> None:
    """What has no name fits several of them: the document asks for one at least."""
    schema["anyOf"] = schema.pop("oneOf")


Optimizer = Annotated[
    Annotated[GradientDescent, Tag("gradient_descent")]
    | Annotated[Momentum, Tag("momentum")]
    | Annotated[Nesterov, Tag("nesterov")]
    | Annotated[RMSprop, Tag("rmsprop")]
    | Annotated[Adam, Tag("adam")]
    | Annotated[AdamW, Tag("adamw")]
    | Annotated[LBFGS, Tag("lbfgs")],
    Field(
        discriminator="name",
        description="How parameters are updated. Without a name it is adam, or gradient_descent in the "
        "paper preset.",
        examples=[{"name": "adam", "learning_rate": 0.003}],
        json_schema_extra=nameless,
    ),
]
