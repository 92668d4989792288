import json

import pytest

from common.errors import UsageError
from tests.trial.test_command import command
from trial.catalogue import networks
from trial.listing import choices, matching


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("alternating", {"step": ["alternating_flip"]}),
        ("HORIZONTAL", {"step": ["HorizontalFlip"]}),
        ("epochs", {"freeze": ["backbone"], "epochs": []}),  # freeze=backbone has a parameter of that name
        ("tau", {"loss": ["logit_adjusted"]}),
        ("batch_size", {"batch_size": []}),
        ("mixing", {"mixing": ["none", "mixup", "cutmix", "cutmix_vertical", "mixup_oldest"]}),
    ],
)
def test_a_word_is_looked_for_in_names_parameters_and_fields(word, expected):
    assert matching([word]) == expected


def test_a_field_is_shown_whole_and_in_its_own_order():
    assert matching(["model"])["model"] == list(networks())
    assert matching(["loss"])["loss"] == choices()["loss"]


def test_several_words_show_what_matches_any_and_one_that_matches_nothing_is_refused():
    assert matching(["tau", "alternating"]) == {"loss": ["logit_adjusted"], "step": ["alternating_flip"]}
    with pytest.raises(UsageError) as error:
        matching(["fokal", "tau", "resnet43"])
    assert [error.rpartition("did you mean ")[2] for error in error.value.errors] == ["focal?", "resnet34?"]


def test_list_with_a_word_shows_parameters_too():
    done = command("--list", "gaussianblur", "tau", "learning_rate")
    assert done.stdout.splitlines() == [
        "loss",
        "  logit_adjusted (tau=1)",
        "step",
        "  GaussianBlur (blur_limit=0, sigma_limit=[0.5, 3.0], p=0.5)",
        "others, with their defaults",
        "  learning_rate=0.0001",
    ]
    assert command("--list", "model").stdout.count(",") == len(networks()) - 1
    assert json.loads(command("--list", "--json", "resnet34").stdout)["model"][1] == "resnet34"
    wrong = command("--list", "resnet43", "--json")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean resnet34?" in wrong.stderr
