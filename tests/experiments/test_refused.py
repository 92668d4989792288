"""A search that can't work is refused before it starts: each bad input with its message."""

import pytest
import yaml

from experiments.check import check
from experiments.checks import services
from tests.experiments.conftest import errors, give

pytest.importorskip("nni")

LOCAL = {"platform": "local"}
KEYS = {
    "name with a slash": ({"experimentName": "a/b"}, "experimentName: 'a/b' can't be a name in our commands: '/' in it"),
    "name of 300 letters": ({"experimentName": "x" * 300}, "experimentName: has 300 characters; 1 to 100 are allowed"),
    "name with a line break": ({"experimentName": "a\nb"}, "experimentName: 'a\\nb' can't be a name in our commands: '\\n' in it"),
    "name like an option": ({"experimentName": "-x"}, "experimentName: '-x' can't be a name in our commands: its first or last character"),
    "name that is empty": ({"experimentName": " "}, "experimentName: has 1 characters; 1 to 100 are allowed"),
    "name that is reserved": ({"experimentName": "latest"}, "experimentName: latest stands for the newest experiment; choose another name"),
    "name that is a number": ({"experimentName": 7}, "experimentName: 7 is not a text"),
    "name that is a list": ({"experimentName": ["a"]}, "experimentName: ['a'] is not a text"),
    "type nas": ({"experimentType": "nas"}, "experimentType: 'nas' is not hpo; leave it out"),
    "empty tuner": ({"tuner": {}}, "tuner: {} is not a mapping such as {className: tuners.search.Search, codeDirectory: ..}"),
    "tuner that is a word": ({"tuner": "TPE"}, "tuner: 'TPE' is not a mapping such as {className: tuners.search.Search, codeDirectory: ..}"),
    "tuner of a number": ({"tuner": {"name": 5}}, "tuner.name: 5 is not a text"),
    "class arguments in a list": ({"tuner": {"name": "TPE", "classArgs": [1]}}, "tuner.classArgs: [1] is not a mapping of names to values"),
    "class arguments by number": ({"tuner": {"name": "TPE", "classArgs": {1: 2}}}, "tuner.classArgs: {1: 2} is not a mapping of names to values"),
    "code folder of a name": ({"tuner": {"name": "TPE", "codeDirectory": "."}}, "tuner.codeDirectory: belongs to className, not to name"),
    "code folder of a number": ({"tuner": {"className": "a.B", "codeDirectory": 5}}, "tuner.codeDirectory: 5 is not a text"),
    "advisor": ({"advisor": {"name": "Hyperband"}}, "advisor: none of NNI's works here (Hyperband, BOHB); take the tuner tuners.search.Search and the assessor tuners.search.CannotWin"),
    "assessor that is a word": ({"assessor": "Medianstop"}, "assessor: 'Medianstop' is not a mapping such as {name: Medianstop}"),
    "unknown tuner": ({"tuner": {"name": "TPEE"}}, "tuner: unknown name 'TPEE'; did you mean TPE?"),
    "unknown assessor": ({"assessor": {"name": "Medianstopp"}}, "assessor: unknown name 'Medianstopp'; did you mean Medianstop?"),
    "TPE as NNI sets it": ({"tuner": {"name": "TPE"}}, "tuner: TPE would search for the worst recipe: trials report scores, so give classArgs: {optimize_mode: maximize}"),
    "assessor of losses": ({"assessor": {"name": "Medianstop", "classArgs": {"optimize_mode": "minimize"}}}, "assessor: Medianstop would stop the best trials: trials report scores, so give classArgs: {optimize_mode: maximize}"),
    "liar none": ({"tuner": {"name": "TPE", "classArgs": {"optimize_mode": "maximize", "tpe_args": {"constant_liar_type": "none"}}}},
                  "tuner.classArgs.tpe_args.constant_liar_type: 'none' ends the experiment; leave it out, or give one of best, worst, mean"),
    "grid without end": ({"tuner": {"name": "GridSearch"}, "maxTrialNumber": None},
                         "tuner: GridSearch never ends on a continuous range; give maxTrialNumber, or choices only"),
    "service missing": ({"trainingService": None}, "trainingService: is missing"),
    "service in a word": ({"trainingService": "local"}, "trainingService: 'local' is not a mapping; write trainingService: {platform: local}"),
    "service in a list": ({"trainingService": [LOCAL]}, "trainingService: a list (NNI's hybrid mode) is not supported here; write trainingService: {platform: local}"),
    "platform missing": ({"trainingService": {}}, "trainingService.platform: is missing; write trainingService: {platform: local}"),
    "platform null": ({"trainingService": {"platform": None}}, "trainingService.platform: is missing; write trainingService: {platform: local}"),
    "platform misspelt": ({"trainingService": {"platform": "lokal"}}, "trainingService.platform: unknown platform 'lokal'; did you mean local?"),
    "platform of a number": ({"trainingService": {"platform": 3}}, "trainingService.platform: unknown platform '3'; known: local"),
    "service with a foreign key": ({"trainingService": {**LOCAL, "useActiveGpus": True}}, "trainingService: unknown key 'useActiveGpus'; did you mean useActiveGpu?"),
    "command inside": ({"trainingService": {**LOCAL, "trialCommand": "true"}}, "trainingService.trialCommand: belongs at the top of the YAML"),
    "reuse": ({"trainingService": {**LOCAL, "reuseMode": True}}, "trainingService.reuseMode: true moves trials out of their run folders; leave it out"),
    "flag of a word": ({"trainingService": {**LOCAL, "useActiveGpu": "yes please"}}, "trainingService.useActiveGpu: 'yes please' is not true or false"),
    "GPU number of a text": ({"trialGpuNumber": "1"}, "trialGpuNumber: '1' is not an integer, 0 or more"),
    "GPU number inside": ({"trainingService": {**LOCAL, "trialGpuNumber": -1}}, "trainingService.trialGpuNumber: -1 is not an integer, 0 or more"),
    "GPU without a word on active ones": ({"trialGpuNumber": 1}, "trainingService.useActiveGpu: is needed with trialGpuNumber: true also takes GPUs on which other programs (a desktop) run, false only idle ones"),
    "trials per GPU": ({"trainingService": {**LOCAL, "maxTrialNumberPerGpu": 2}}, "trainingService.maxTrialNumberPerGpu: has no effect without trialGpuNumber"),
    "trials per GPU 0": ({"trainingService": {**LOCAL, "maxTrialNumberPerGpu": 0}}, "trainingService.maxTrialNumberPerGpu: 0 is not an integer, 1 or more"),
    "GPU twice": ({"trainingService": {**LOCAL, "gpuIndices": [0, 0]}}, "trainingService.gpuIndices: [0, 0] is not a list of GPU numbers such as [0, 1], each once"),
    "no GPU in the list": ({"trainingService": {**LOCAL, "gpuIndices": []}}, "trainingService.gpuIndices: [] is not a list of GPU numbers such as [0, 1], each once"),
    "GPU of a word": ({"tunerGpuIndices": "first"}, "tunerGpuIndices: 'first' is not a list of GPU numbers such as [0, 1], each once"),
    "annotation": ({"useAnnotation": True}, "useAnnotation: the search space is given by searchSpaceFile here; leave it out"),
    "debug of a word": ({"debug": "on please"}, "debug: 'on please' is not true or false"),
    "log level": ({"logLevel": "warn"}, "logLevel: unknown level 'warn'; did you mean warning?"),
    "storage": ({"sharedStorage": {"storageType": "NFS"}}, "sharedStorage: has no effect here; leave it out (for other machines give --machines)"),
    "duration of 0": ({"maxExperimentDuration": "0h"}, "maxExperimentDuration: '0h' is not a number of seconds or a text such as 30m or 2h"),
    "duration of a list": ({"maxTrialDuration": [1]}, "maxTrialDuration: [1] is not a number of seconds or a text such as 30m or 2h"),
    "concurrency true": ({"trialConcurrency": True}, "trialConcurrency: True is not an integer, 1 or more"),
    "command of a list": ({"trialCommand": ["python"]}, "trialCommand: ['python'] is not a text"),
    "folder of a list": ({"experimentWorkingDirectory": ["runs"]}, "experimentWorkingDirectory: ['runs'] is not a path"),
    "folder that is a file": ({"experimentWorkingDirectory": "space.json"}, "is a file, not a folder"),
    "space of a number": ({"searchSpaceFile": 5}, "searchSpaceFile: 5 is not a path"),
    "space in a list": ({"searchSpaceFile": None, "searchSpace": [1]}, "searchSpace: is not a mapping of names to {_type, _value}"),
    "space empty inside": ({"searchSpaceFile": None, "searchSpace": {}}, "searchSpace: is empty: there is nothing to search"),
}  # fmt: skip


@pytest.mark.parametrize(("keys", "said"), KEYS.values(), ids=KEYS)
def test_a_key(mine, fast, keys, said):
    found = errors(give(mine, **keys))
    assert any(error.endswith(said) for error in found), found


@pytest.mark.parametrize("platform", services.OTHERS)
def test_another_platform(mine, fast, platform):
    found = errors(give(mine, trainingService={"platform": platform}))
    assert found == [
        f"trainingService.platform: {platform}: trials run on this machine (local), or on those that "
        "--machines lists: elsewhere their run folders, photos and weights would be missing"
    ]


SPACES = {
    "empty": ("{}", "searchSpaceFile: is empty: there is nothing to search"),
    "a list": ("[1]", "searchSpaceFile: {file} is not a mapping of names to {{_type, _value}}"),
    "a word": ('"space"', "searchSpaceFile: {file} is not a mapping of names to {{_type, _value}}"),
    "null": ("null", "searchSpaceFile: {file} is not a mapping of names to {{_type, _value}}"),
    "no text": ("\xff\xfe", "{file}: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    "nested without end": ("[" * 100_000, "{file}: is nested too deeply"),
    "no number": ('{"learning_rate": {"_type": "uniform", "_value": [NaN, 1]}}', "learning_rate: nan is not a finite number"),
    "no end": ('{"learning_rate": {"_type": "loguniform", "_value": [0.1, Infinity]}}', "learning_rate: inf is not a finite number"),
    "no deviation": ('{"learning_rate": {"_type": "normal", "_value": [0.1, 0]}}', "learning_rate: the standard deviation of normal must be above 0, not 0"),
    "no whole number": ('{"seed": {"_type": "randint", "_value": [0.2, 0.8]}}', "seed: there is no integer from 0.2 to below 0.8"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), SPACES.values(), ids=SPACES)
def test_a_space(mine, fast, text, said):
    mine.space.write_bytes(text.encode("latin-1"))
    assert said.format(file=mine.space) in errors(mine.yaml)


def test_a_yaml_that_is_no_text(mine):
    mine.yaml.write_bytes(b"\xff\xfe")
    assert errors(mine.yaml) == [
        f"{mine.yaml}: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{seed: 1}", "{seed: 1, seed: 2}", "seed is given twice"),
        (
            "maxTrialNumber: 2",
            "maxTrialNumber: 2\nmax_trial_number: 3",
            "as maxTrialNumber, max_trial_number",
        ),
        ("{seed: 1}", "{seed: 2024-01-01}", "quote dates"),
        ("tuner: {", "tuner:\nassessor: {", "tuner: is missing"),
        ("trainingService: {platform: local}", "trainingService:", "trainingService: is missing"),
    ],
)
def test_the_yamls_own_text(mine, fast, old, new, said):
    assert said in "\n".join(errors(mine.change(old, new)))


def test_a_setting_that_leaves_nothing_to_search(mine, fast):
    assert errors(mine.yaml, settings=["learning_rate=0.01"]) == [
        "--set learning_rate=0.01: nothing is left to search; train this one recipe by python -m trial, or "
        "search another field"
    ]


@pytest.mark.parametrize(
    "keys",
    [
        {"experimentName": "마스크 2"},
        {"maxExperimentDuration": "1.5H", "logLevel": "debug", "debug": False},
        {"tuner": {"name": "random"}, "assessor": {"name": "Medianstop"}},
        {"tuner": {"name": "GridSearch"}},
        {"tuner": {"name": "TPE", "classArgs": {"optimize_mode": "maximize", "tpe_args": {}}}},
        {"trialGpuNumber": 0},
        {"trainingService": {"platform": "local", "use_active_gpu": False, "maxTrialNumberPerGpu": 1}},
    ],
    ids=str,
)
def test_what_works_is_taken_and_nni_takes_it_too(mine, fast, keys, tmp_path):
    plan = check(give(mine, **keys))
    effective = tmp_path / "effective.yaml"
    effective.write_text(yaml.safe_dump(plan.effective(), allow_unicode=True))
    from nni.experiment.config import ExperimentConfig

    ExperimentConfig.load(effective).validate()
