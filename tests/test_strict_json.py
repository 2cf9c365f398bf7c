import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import strict_json
from app.errors import ChainruleError, Invalid, MalformedRequest

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**200), 10**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_is_json_is_read_as_it_is(value: object, escaped: bool) -> None:
    assert strict_json.loads(json.dumps(value, ensure_ascii=escaped).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"[1,]",
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b'{"a":1,"a":1}',
        b'[{"b":{"a":1,"a":2}}]',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\n"',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": NaN, ',
        b'[1e999, "\\ud800]',
        b"NaN NaN",
    ],
    ids=range(16),
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequest) as caught:
        strict_json.loads(body)
    assert caught.value.faults[0].code == "malformed_json"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"NaN", "not_finite"),
        (b"[Infinity]", "not_finite"),
        (b"-Infinity", "not_finite"),
        (b"1e999", "not_finite"),
        (b"-1e999", "not_finite"),
        (b"1" * 301, "out_of_range"),
        (b'"\\ud800"', "lone_surrogate"),
        (b'{"\\uDFFF":1}', "lone_surrogate"),
        (b'["\\udc00\\ud800"]', "lone_surrogate"),
    ],
)
def test_a_value_that_cannot_be_is_invalid(body: bytes, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        strict_json.loads(body)
    (fault,) = caught.value.faults
    assert fault.code == code
    assert fault.hint


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"NaN", ""),
        (b'{"training": {"optimizer": {"learning_rate": NaN}}}', "training.optimizer.learning_rate"),
        (b'{"rows": [{"x": 1}, {"x": 0, "y": -Infinity}]}', "rows[1].y"),
        (b'{"a": [[1, 2], [3, 1e999]]}', "a[1][1]"),
        (b'{"epochs": ' + b"9" * 301 + b"}", "epochs"),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "a.b"),
        (b'{"a": ["x", "\\ud800"]}', "a[1]"),
        (b'{"a": {"\\ud800": 1}}', "a"),
        (b'{"a": [NaN, {"b": NaN}]}', "a[0]"),
        (b'{"a": NaN, "b": "' + b"x" * (1 << 20) + b'"}', ""),
    ],
)
def test_the_place_is_told(body: bytes, param: str) -> None:
    with pytest.raises(ChainruleError) as caught:
        strict_json.loads(body)
    (fault,) = caught.value.faults
    assert fault.param == param
    assert caught.value.detail.startswith(f"{param}: " if param else fault.message)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert strict_json.loads(b'"\\ud83d\\udc27"') == "\N{PENGUIN}"


def test_the_largest_numbers_are_taken() -> None:
    assert strict_json.loads(b"1.7976931348623157e308") == 1.7976931348623157e308
    assert strict_json.loads(b"9" * 300) == 10**300 - 1
