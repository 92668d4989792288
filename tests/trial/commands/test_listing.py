import contextlib
import functools
import io
import json
import os
import re

import pytest

from common.errors import UsageError
from tests.trial.commands.test_train import command
from trial.augment.policies import DESCRIPTIONS, POLICIES
from trial.catalogue import networks
from trial.commands.listing import BUILDERS, choice_text, choices, field_text, matching, show
from trial.config import FIELDS


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("alternating", {"step": ["alternating_flip"]}),
        ("HORIZONTAL", {"step": ["HorizontalFlip"]}),
        ("epochs", {"freeze": ["backbone"], "epochs": []}),  # freeze=backbone has a parameter of that name
        ("tau", {"loss": ["logit_adjusted"]}),
        ("batch_size", {"batch_size": []}),
        ("mixing", {"mixing": ["none", "mixup", "cutmix", "cutmix_vertical", "mixup_rare"]}),
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


@pytest.mark.slow
def test_list_with_a_word_shows_parameters_too():
    narrow = {**os.environ, "COLUMNS": "80"}
    done = command("--list", "gaussianblur", "tau", "learning_rate", env=narrow)
    assert done.stdout.splitlines() == [
        "loss=cross_entropy: loss function",
        "  logit_adjusted  Cross-entropy of logits + tau * log class frequency (Menon et",
        "                  al. 2020, arXiv:2007.07314). (tau=1)",
        "",
        "step: step of an augmentation policy, for a list of your own",
        "  GaussianBlur (blur_limit=0, sigma_limit=[0.5, 3.0], p=0.5)",
        "",
        "fields that take a value, with their defaults",
        "  learning_rate=0.0001  learning rate, times the schedule's factor",
    ]
    shown = command("--list", "model").stdout.partition("\n")[2]
    assert re.split(r",\s+", shown.strip()) == list(networks())
    assert json.loads(command("--list", "--json", "resnet34").stdout)["model"][1] == "resnet34"
    wrong = command("--list", "resnet43", "--json")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean resnet34?" in wrong.stderr


def shown(*words) -> str:
    """What --list WORD ... prints, without its line breaks."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        show(False, words)
    return " ".join(out.getvalue().split())


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_has_a_description_that_list_and_help_show(field):
    assert 10 < len(field_text(field)) < 110
    assert field_text(field) in shown(field)
    assert field_text(field) in help_text()


def test_every_policy_has_a_description():
    assert list(DESCRIPTIONS) == list(POLICIES)


@pytest.mark.parametrize("field", ["augment", *BUILDERS])
def test_every_choice_has_a_description_that_list_shows(field):
    text = shown(field)
    for name in choices()[field]:
        if field in BUILDERS and name not in BUILDERS[field]:
            continue  # albumentations'
        description = choice_text(field, name)
        assert description.endswith("."), name
        assert f"{name} {description}" in text


@functools.cache
def help_text() -> str:
    return " ".join(command("--help").stdout.split())
