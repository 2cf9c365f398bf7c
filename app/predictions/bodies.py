"""The bodies of predictions, for OpenAPI: they are read and written by hand."""

from typing import Any

from app.predictions import media

WARNINGS = "Chainrule-Warnings"
"""The header of a file that is answered: how many of its values were encoded, but perhaps not as meant."""

_TEXTS = {
    media.CSV: (
        "island,bill_length_mm\nTorgersen,39.1\n",
        "island,bill_length_mm,prediction,probability_Adelie\n",
    ),
    media.TSV: ("island\tbill_length_mm\nTorgersen\t39.1\n", "island\tbill_length_mm\tprediction\n"),
    "text/plain": ("island,bill_length_mm\nTorgersen,39.1\n", ""),
    media.JSON_LINES: ('{"island": "Torgersen", "bill_length_mm": 39.1}\n', '{"prediction": "Adelie"}\n'),
    "application/x-ndjson": ('{"island": "Torgersen", "bill_length_mm": 39.1}\n', ""),
}


def _file(kind: str, *, answered: bool) -> dict[str, Any]:
    if kind in _TEXTS:
        return {"schema": {"type": "string", "examples": [_TEXTS[kind][answered]]}}
    return {"schema": {"type": "string", "contentMediaType": kind}}


REQUEST: dict[str, Any] = {
    "required": True,
    "description": "Rows or encoded inputs in JSON; or a file of named rows, whose content says what it is.",
    "content": {
        media.JSON: {"schema": {"$ref": "#/components/schemas/PredictRequest"}},
        **{kind: _file(kind, answered=False) for kind in media.READ},
    },
}

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {kind: _file(kind, answered=True) for kind in media.SUFFIXES},
        "headers": {
            WARNINGS: {
                "description": "Of a file: how many values were encoded, but perhaps not as meant, by code.",
                "schema": {"type": "string", "examples": ["unknown_category=2"]},
            }
        },
    }
}
