"""Properties that hold for any input, searched for counterexamples by hypothesis: parsing and round trips."""

import json
import string
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.errors import UsageError
from common.files import read_object, write_json
from common.image_size import MAX_SIDE, read_size, size_text
from common.nni_yaml import read_file
from common.text import FORMULA, cell, from_cell
from dataset.tables import read_table
from dataset.task import Task
from trial.commands.arguments import parse_arguments
from trial.config import FIELDS, parse

settings.register_profile(
    "ours", max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile("ours")

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.text(string.ascii_letters + string.digits + " _-+=@é🐱'\"<>&,;\t", min_size=1, max_size=12)


@given(st.dictionaries(st.sampled_from(list(FIELDS)), JSON, max_size=5))
def test_a_recipe_is_refused_in_words_or_read_back_as_it_was_written(values):
    try:
        config = parse(values, present=False)
    except UsageError as error:
        assert all(message and "\n" not in message for message in error.errors)  # noqa: PT017
        return
    assert parse(json.loads(json.dumps(config.to_json())), present=False) == config


@given(st.fixed_dictionaries({}, optional={
    "learning_rate": st.floats(1e-6, 1), "epochs": st.integers(1, 500), "seed": st.integers(0, 2**32 - 1),
    "batch_size": st.integers(2, 512), "loss": st.sampled_from(["cross_entropy", "focal", {"_name": "focal", "gamma": 2.0}]),
    "model": st.sampled_from(["resnet18", "resnet34+resnet18", "tf_efficientnet_lite0"]), "fold": st.sampled_from([0, 4, "all"]),
    "image_size": st.tuples(st.integers(64, 999), st.integers(64, 999)).map(size_text),
}))  # fmt: skip
def test_a_recipe_is_the_same_from_words_and_from_json(values):
    try:
        config = parse(values, present=False)
    except UsageError:
        return
    words = [f"{key}={json.dumps(v) if isinstance(v, dict) else v}" for key, v in values.items()]
    assert parse(parse_arguments(words), present=False) == config


@given(st.lists(st.text(max_size=30), max_size=4))
def test_words_of_a_command_are_read_or_refused(words):
    try:
        parse(parse_arguments(words), present=False)
    except UsageError as error:
        assert error.errors  # noqa: PT017


@given(st.tuples(st.integers(1, MAX_SIDE), st.integers(1, MAX_SIDE)))
def test_a_size_is_read_as_it_was_written(size):
    assert read_size(size_text(size), []) == size


@given(st.text(max_size=20) | st.floats() | st.lists(st.integers()) | st.none() | st.binary())
def test_anything_else_is_no_size(value):
    errors: list[str] = []
    assert (read_size(value, errors) is None) == bool(errors)


@given(st.text())
@example("=1+1")
@example("'=1")
@example("''@x")
def test_a_cell_is_no_formula_and_read_back(text):
    assert from_cell(cell(text)) == text
    assert not cell(text)[:1] or cell(text)[0] not in "=+-@\t\r"
    assert (cell(text) == text) == (FORMULA.match(text) is None)


@given(JSON)
def test_what_is_written_as_json_is_read_back(value):
    with TemporaryDirectory() as folder:
        path = write_json(Path(folder, "x.json"), {"value": value})
        assert read_object(path, {}) == {"value": value}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_json_object_or_damaged(data):
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.json")
        path.write_bytes(data)
        try:
            assert isinstance(read_object(path, {}), dict)
        except UsageError as error:
            assert "is damaged" in str(error)  # noqa: PT017


@given(st.lists(st.lists(NAMES, min_size=3, max_size=3), min_size=1, max_size=5))
def test_a_table_is_read_as_pandas_wrote_it(rows):
    columns = ["path", "label", "group"]
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.csv")
        pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
        table, errors = read_table(path, columns, strip=True)
    wanted = [[text.strip() for text in row] for row in rows]
    wanted = [row for row in wanted if any(row)]
    assert errors or table.to_numpy().tolist() == wanted


@given(st.binary(max_size=300))
def test_any_bytes_are_a_table_or_an_error(data):
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.csv")
        path.write_bytes(data)
        table, errors = read_table(path, ["a"])
    assert all("\n" not in error for error in errors)
    assert errors or list(table) == ["a"]


@given(st.text(max_size=200))
def test_any_text_is_a_yaml_or_an_error(text):
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.yaml")
        path.write_text(text, encoding="utf-8", errors="replace")
        value, errors = read_file(path)
    assert all("\n" not in error for error in errors)
    assert not errors or value is None or "given twice" in errors[0]


@given(st.data())
def test_a_task_is_read_back_from_its_json(data):
    factors = data.draw(
        st.dictionaries(NAMES, st.lists(NAMES, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3)
    )
    number = 1
    for values in factors.values():
        number *= len(values)
    task = Task(
        data.draw(NAMES), tuple(f"c{n}" for n in range(number)), factors, data.draw(NAMES), data.draw(NAMES),
        rare=tuple(data.draw(st.sets(st.integers(0, number - 1)))),
    )  # fmt: skip
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


@given(JSON)
def test_any_json_is_a_task_or_refused(value):
    try:
        Task.from_json(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, KeyError, AttributeError):
        return
    raise AssertionError(value)
