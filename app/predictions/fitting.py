"""A file's cells as a model's columns have them, value by value, as named rows of JSON are read."""

import polars as pl

from app.datasets import dates
from app.datasets.cells import Cells, iso
from app.datasets.date_features import DateFeature
from app.datasets.encoding import Encoding
from app.datasets.features import CategoryFeature

WHOLE = r"^(-?[0-9]+)\.0+$"
"""A whole number, as tables spell one in a column where others are missing."""


def fitted(cells: Cells, encoding: Encoding) -> Cells:
    """Dates in ISO 8601, whichever way they are written; what is none stays as it is, to be refused.

    Categories that the model does not know are one, however many there are.
    """
    text = {name for name, dtype in cells.frame.schema.items() if dtype == pl.String}
    changed: list[pl.Expr | pl.Series] = []
    for feature in encoding.features:
        if feature.name not in text:
            continue
        if isinstance(feature, CategoryFeature):
            changed.append(_category(feature))
        elif isinstance(feature, DateFeature):
            changed.append(_date(cells.frame[feature.name], feature.date_format))
    return cells._replace(frame=cells.frame.with_columns(changed)) if changed else cells


def _category(feature: CategoryFeature) -> pl.Expr:
    known = pl.Series(list(feature.places), dtype=pl.String).implode()
    value = pl.col(feature.name)
    whole = value.str.replace(WHOLE, "${1}")
    named = pl.when(value.is_null() | value.is_in(known)).then(value).when(whole.is_in(known)).then(whole)
    return named.otherwise(pl.lit(_other(feature))).alias(feature.name)


def _other(feature: CategoryFeature) -> str:
    """A word that is none of them."""
    word = "other"
    while word in feature.places:
        word += "_"
    return word


def _date(cells: pl.Series, date_format: str) -> pl.Series:
    moments = dates.read(cells, dates.ISO)
    if date_format != dates.ISO and moments.null_count() > cells.null_count():
        moments = pl.select(pl.coalesce(moments, dates.read(cells, date_format))).to_series()
    return pl.select(pl.coalesce(iso(pl.lit(moments)), pl.lit(cells))).to_series().alias(cells.name)
