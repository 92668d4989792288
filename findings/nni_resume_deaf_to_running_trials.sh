#!/usr/bin/env bash
# NNI 2.10.1: after a resume, the assessor hears nothing of the trials that are run again, and the tuner not their failure.
# Guessed: a resumed experiment treats a trial that it starts again like any other: each intermediate result goes to
# the assessor, and the trial's end to the tuner, as before the interruption.
# Seen: the dispatcher drops all that comes from a parameter id of an earlier start, but for a final result, which
# the tuner gets as import_data. So the assessor can stop none of these trials, and one that fails is never told:
# a tuner that counts it as running waits for it for ever.
# Way round: a tuner that reads what NNI's database says about trials that an earlier start began.
# The dispatcher is called here with the messages that NNI's manager sends after `nnictl resume`.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nni==2.10.1 "setuptools<81"
cd "$folder"
HOME="$folder" "$folder/venv/bin/python" -W ignore - <<'PY'
import json
from importlib.metadata import version

from nni.assessor import Assessor, AssessResult
from nni.runtime.msg_dispatcher import MsgDispatcher
from nni.runtime.tuner_command_channel.channel import TunerCommandChannel
from nni.tuner import Tuner

heard = []


class Told(Tuner):
    def update_search_space(self, search_space):
        pass

    def generate_parameters(self, parameter_id, **kwargs):
        return {"x": parameter_id}

    def receive_trial_result(self, parameter_id, parameters, value, **kwargs):
        heard.append("tuner: result")

    def trial_end(self, parameter_id, success, **kwargs):
        heard.append(f"tuner: {'end' if success else 'failed'}")

    def import_data(self, data):
        heard.append("tuner: import_data")


class Heard(Assessor):
    def assess_trial(self, trial_job_id, trial_history):
        heard.append("assessor: epoch")
        return AssessResult.Good


TunerCommandChannel.connect = lambda self: None  # there is no manager
dispatcher = MsgDispatcher("ws://127.0.0.1:1", Told(), Heard())
dispatcher.send = lambda *message: None  # what it would tell the manager
earlier = json.dumps({"parameter_id": 0, "parameter_source": "resumed", "parameters": {"x": 0}, "parameter_index": 0})
dispatcher.recover_parameter_id(earlier)
dispatcher.handle_request_trial_jobs(1)  # a new trial, with parameter id 1


def epoch_then(trial, number, event, final=False):
    heard.clear()
    metric = {"parameter_id": number, "trial_job_id": trial, "sequence": 0, "value": "0.5"}
    dispatcher.handle_report_metric_data(metric | {"type": "PERIODICAL"})
    if final:
        dispatcher.handle_report_metric_data(metric | {"type": "FINAL"})
    end = {"trial_job_id": trial, "event": event, "hyper_params": json.dumps({"parameter_id": number})}
    dispatcher.handle_trial_end(end)
    return list(heard)


print("nni", version("nni"))
new, again = epoch_then("new", 1, "FAILED"), epoch_then("again", 0, "FAILED")
finished = epoch_then("again2", 0, "SUCCEEDED", final=True)
print("a new trial reports an epoch and fails:                 ", new)
print("a trial of before the resume does the same:             ", again)
print("a trial of before the resume reports, ends with a result:", finished)
assert new == ["assessor: epoch", "tuner: failed"]
assert again == [], "trials that are run again are heard now"
assert finished == ["tuner: import_data"]
print("as stated: nothing of it is heard but the final result, as import_data")
PY
