"""The route that one-row predictions are measured against: FastAPI, a pydantic body, the same forward pass.

python -m bench.bare PORT MODEL.safetensors ARCHITECTURE.json
"""

import json
import sys
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from app.architectures.network import to_engine
from app.engine import predict as forward
from app.models import parameters as codec


class Body(BaseModel):
    inputs: list[list[float]]


class Answer(BaseModel):
    outputs: list[list[float]]


def application(weights: bytes, described: dict[str, object]) -> FastAPI:
    architecture = to_engine(described)
    parameters = codec.load(architecture, weights)
    app = FastAPI()

    @app.post("/predict")
    async def predict(body: Body) -> Answer:
        x = np.array(body.inputs, dtype=parameters.flat.dtype)
        return Answer(outputs=forward(architecture, parameters, x).tolist())

    return app


if __name__ == "__main__":
    port, weights, described = sys.argv[1:]
    built = application(Path(weights).read_bytes(), json.loads(Path(described).read_text()))
    uvicorn.run(built, port=int(port), access_log=False, log_level="warning")
