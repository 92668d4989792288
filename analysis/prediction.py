"""A trained network's run folder -> its submission, without training."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.predict import finishing
from analysis.predict.choosing import AUTO, refuse, views_for
from analysis.predict.finishing import Finish, plan_finish
from analysis.predict.trained import load
from analysis.predict.validation import facts_by_views, tempered_answers, validated_run
from analysis.submission import SUBMISSION, refuse_overwriting, writing
from analysis.submit import REPORT, about_kept, group_of, submit_run
from analysis.trials.unfinished import weights_words
from common.errors import UsageError, all_at_once
from common.files import only_writer_of_out
from common.log import output_of
from dataset.formats.labelled import groups_of
from dataset.images import read_images
from dataset.pixels import decode_errors
from dataset.read import read_eval
from trial.run_folder.record import RunFolder

output = output_of(__name__)


@only_writer_of_out
def predict_and_submit(
    run: Path, data: Path | None, out: Path, tta: str = "none", temperature: float = 1.0,
    images: Path | None = None, finish: Finish = Finish(),
) -> tuple[np.ndarray, dict[str, Any]]:  # fmt: skip
    """Write the submission of the run folder `run`, without training, to the folder `out`: for the photos to
    predict of `data` (default: input), or for all images in the folder `images`. Return (probabilities
    (photos, classes), the content of submission.json).

    An unfinished run is accepted if it has a network, since its best epoch so far may be all there is at a
    deadline; this is printed and recorded.
    """
    data = data or Path("input")
    _, _, _, photos, trained = all_at_once(
        lambda: refuse_overwriting(out, REPORT),
        lambda: refuse(tta, temperature),
        lambda: finishing.refuse(finish),
        lambda: _photos_to_answer(run, data, images),
        lambda: load(run),
    )
    about = about_kept(run) | {"networks": len(trained.networks), "temperature": temperature}
    if state := about.get("unfinished"):
        output.info(weights_words(state))
    config = RunFolder(run).config()
    if temperature != 1 and config.metric == "log_loss" and "promise" in about:
        about["no_promise"] = f"the log loss at temperature {temperature:g} was not validated"
        output.info(f"no promise: {about['no_promise']}")
    validated = validated_run(run)
    known_to = None if validated is None else tempered_answers(validated, temperature)
    planned = plan_finish(
        finish, images or data, photos, known_to, trained.task,
        config.metric, config.corrections, config.group,
    )  # fmt: skip
    measured_on = Path(config.data) if images else data
    if tta == AUTO:
        runs = None if validated is None else [validated]
        tta, about["tta_chosen"] = views_for(runs, measured_on, config.metric, temperature)
    else:
        about["validation"] |= facts_by_views(validated or run, measured_on, tta, temperature)
    about |= planned.about | {"tta": tta}
    probabilities = planned.apply(trained.predict(photos, tta, temperature))
    with writing(out, [*SUBMISSION, REPORT]):
        return probabilities, submit_run(out, photos, probabilities, about, run)


def _photos_to_answer(run: Path, data: Path, images: Path | None) -> pd.DataFrame:
    if images is None:
        return read_eval(data, group_of(run))
    photos = read_images(images)
    if errors := decode_errors(photos["path"], progress=True):
        raise UsageError(errors)
    return photos.assign(group=_groups(run, photos["photo"]))


def _groups(run: Path, photos: pd.Series) -> list[str]:
    """The group of each photo of a folder, by the regular expression on paths that the run `run` was trained
    with; '' where it is not known."""
    pattern, unknown = group_of(run), [""] * len(photos)
    if not pattern or RunFolder(run).task().group == pattern:  # the name of a column, which a folder lacks
        return unknown
    found, _ = groups_of(photos, pattern)
    return unknown if len(set(found)) == 1 < len(found) else found
