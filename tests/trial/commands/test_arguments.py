import pytest

from common.errors import UsageError
from trial.augment.policies import parse_policy
from trial.commands.arguments import argument_text, changed, parse_arguments, read_recipe_file


def test_texts_become_values_of_their_fields():
    values = parse_arguments(["learning_rate=1e-4", "epochs=3", "model=resnet18", "image_size=64x48"])
    assert values == {"learning_rate": 1e-4, "epochs": 3, "model": "resnet18", "image_size": "64x48"}


def test_bounded_numbers_and_numbers_beside_a_word_are_numbers_too():
    values = parse_arguments(["ema=0.9", "layer_decay=.8", "fold=2", "folds=3"])
    assert values == {"ema": 0.9, "layer_decay": 0.8, "fold": 2, "folds": 3}
    assert parse_arguments(["fold=all"]) == {"fold": "all"}


def test_true_and_false_are_booleans():
    assert parse_arguments(["compile=true"]) == {"compile": True}
    assert parse_arguments(["compile=graphs"]) == {"compile": "graphs"}
    assert parse_arguments(["compile=False"]) == {"compile": False}
    assert parse_arguments(["compile=perhaps"]) == {"compile": "perhaps"}


@pytest.mark.parametrize("order", [["loss=focal", "loss.gamma=2"], ["loss.gamma=2", "loss=focal"]])
def test_a_nested_choice_has_a_command_line_form(order):
    assert parse_arguments(order) == {"loss": {"_name": "focal", "gamma": 2}}


def test_a_parameter_that_is_text_stays_text():
    """A folder may be named 007."""
    values = parse_arguments(["teacher=out_of_fold", "teacher.runs=007", "teacher.fraction=.5"])
    assert values == {"teacher": {"_name": "out_of_fold", "runs": "007", "fraction": 0.5}}


def test_a_policy_can_be_written_as_json():
    values = parse_arguments(['augment=[{"_name": "flip", "p": 0.3}]'])
    assert values == {"augment": [{"_name": "flip", "p": 0.3}]}


def test_the_tuners_values_join_the_fixed_ones():
    values = parse_arguments(["epochs=3"], {"loss": {"_name": "focal", "gamma": 2}, "learning_rate": 0.1})
    assert values == {"epochs": 3, "loss": {"_name": "focal", "gamma": 2}, "learning_rate": 0.1}


@pytest.mark.parametrize(
    ("arguments", "tuner", "words"),
    [
        (["epochs"], {}, "not key=value"),
        (["epochs=1", "epochs=2"], {}, "epochs is given twice"),
        (["epochs=1"], {"epochs": 2}, "by both the command and the search space"),
        (["loss.gamma=2"], {"loss": "focal"}, "by both the command and the search space"),
        (
            ["epochs=1"],
            {"metric": "accuracy"},
            "^metric: is what the search optimises, it can't be searched$",
        ),
        ([], {"model": {"_name": "resnet18", "metric": "accuracy"}}, "^metric: is what the search optimises"),
    ],
)
def test_ambiguous_arguments_are_refused(arguments, tuner, words):
    with pytest.raises(UsageError, match=words):
        parse_arguments(arguments, tuner)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("learning_rate", 0.0003, "0.0003"), ("learning_rate", 0.00031622776601683794, "0.00031622776601683794"),
        ("ema", 1e-05, "1e-05"), ("clip_norm", 2.0, "2"), ("epochs", 30, "30"), ("compile", True, "true"),
        ("model", "resnet18", "resnet18"), ("loss", {"_name": "focal", "gamma": 1.5}, None),
        ("augment", [{"_name": "flip", "p": 0.3}], None),
    ],
)  # fmt: skip
def test_a_value_is_read_back_from_its_text(field, value, text):
    written = argument_text(value)
    assert written == text or text is None
    assert parse_arguments([f"{field}={written}"]) == {field: value}


def test_text_that_does_not_fit_is_left_for_the_parser_to_name():
    assert parse_arguments(["epochs=many"]) == {"epochs": "many"}


def test_words_change_a_recipe_and_a_parameter_alone_its_choice():
    recipe = {"loss": {"_name": "focal", "gamma": 3}, "head": "factors", "train_share": 0.5, "epochs": 5}
    words = ["loss.gamma=1", "head.dropout=.2", "train_fraction=1", "fold=all"]
    assert changed(recipe, parse_arguments(words)) == {
        "loss": {"_name": "focal", "gamma": 1}, "head": {"_name": "factors", "dropout": 0.2},
        "train_fraction": 1.0, "epochs": 5, "fold": "all",
    }  # fmt: skip
    assert changed(recipe, parse_arguments(["loss=weighted"]))["loss"] == "weighted"
    assert recipe["loss"]["gamma"] == 3


@pytest.mark.parametrize("first", [0, 1])
def test_a_parameter_of_a_step_goes_with_a_list_of_steps(first):
    words = ['augment=["flip","random_erasing"]', "augment.random_erasing.p=.1"]
    policy = {"steps": ["flip", "random_erasing"], "random_erasing.p": 0.1}
    assert parse_arguments([words[first], words[1 - first]]) == {"augment": policy}
    assert changed({"augment": ["flip", "random_erasing"]}, parse_arguments(words[1:])) == {"augment": policy}
    assert changed({"augment": "light"}, parse_arguments(words)) == {"augment": policy}
    errors = []
    parsed = parse_policy(policy, errors)
    assert errors == [] and str(parsed) == "flip+random_erasing"
    assert dict(parsed.steps[1].choice.params)["p"] == 0.1
    with pytest.raises(UsageError, match="augment is given twice"):
        parse_arguments(["augment.flip.p=0.1", 'augment=["flip"]', "augment=light"])
    with pytest.raises(UsageError, match="augment is given twice"):
        parse_arguments([*words, words[0]])
    assert parse_policy({"flip.p": 0.1}, errors) is None
    assert errors == ["augment.flip.p: is of a step of which policy? give it too, such as augment=light"]


def test_a_recipe_file_and_a_runs_config_hold_the_same_fields(tmp_path):
    (tmp_path / "recipe.json").write_text('{"about": "x", "recipe": {"epochs": 3}}')
    (tmp_path / "config.json").write_text('{"epochs": 3, "data": "input", "out": "x"}')
    for name in ("recipe.json", "config.json"):
        assert read_recipe_file(tmp_path / name)["recipe"] == {"epochs": 3}
    with pytest.raises(UsageError, match=r"none\.json: can't be read as a recipe"):
        read_recipe_file(tmp_path / "none.json")
