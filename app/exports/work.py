"""What the child does: a model into a file of some format, and such a file into a model."""

from pathlib import Path
from typing import Any

from app.architectures.network import to_engine
from app.datasets.encoding import Encoding
from app.errors import ExportDiffers, Fault, Invalid
from app.exports import reading, writers
from app.exports.recipe import Unportable
from app.exports.vectors import Network
from app.models import parameters as codec

Json = dict[str, Any]


def write(request: Json) -> Json:
    """Write ``target`` from the parameters in ``source``. Raises Invalid, or ExportDiffers."""
    document = request["document"]
    architecture = to_engine(document["architecture"])
    parameters = codec.load(architecture, Path(request["source"]).read_bytes())
    network = Network(Encoding.from_json(document["encoding"]), architecture, parameters)
    try:
        content, proof = writers.written(request["format"], document, network)
    except Unportable as error:
        message = str(error)
        raise Invalid(f"format: {message}", Fault("format", "not_allowed", message)) from None
    except writers.Differs as error:
        raise ExportDiffers(str(error)) from None
    Path(request["target"]).write_bytes(content)
    return {"proof": proof}


def read(request: Json) -> Json:
    """Write the parameters of ``source`` to ``target``, and answer with its document. Raises Invalid."""
    content = Path(request["source"]).read_bytes()
    imported = reading.read(content, request["format"], reading.Limits(**request["limits"]))
    Path(request["target"]).write_bytes(codec.dump(imported.parameters))
    return imported.described()


WORK = {"write": write, "read": read}
