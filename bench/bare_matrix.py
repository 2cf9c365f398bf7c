"""What answers to matrices are measured against: plain NumPy behind a bare route.

python -m bench.bare_matrix PORT WEIGHTS.npz
"""

import io
import sys

import numpy as np
import uvicorn
from fastapi import FastAPI, Request, Response


def application(weights: str) -> FastAPI:
    """Standardise, one layer of relu, softmax: in float32, and by NumPy alone."""
    found = np.load(weights)
    W1, b1, W2, b2 = (found[name] for name in ("W0", "b0", "W1", "b1"))
    app = FastAPI()

    @app.post("/")
    async def predict(request: Request) -> Response:
        x = np.load(io.BytesIO(await request.body()), allow_pickle=False)
        x = (x - np.float32(3.0)) / np.float32(2.0)
        z = np.maximum(x @ W1.T + b1, 0.0) @ W2.T + b2
        e = np.exp(z - z.max(axis=1, keepdims=True))
        buffer = io.BytesIO()
        np.save(buffer, e / e.sum(axis=1, keepdims=True))
        return Response(buffer.getvalue(), media_type="application/x-npy")

    return app


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[2]), port=int(sys.argv[1]), access_log=False, log_level="warning")
