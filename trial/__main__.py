"""python -m trial key=value ...: train one recipe; the same command is NNI's trialCommand."""

import sys

from common.process import end_with_parent
from trial import advisor
from trial.process.ranks import is_one_of_several
from trial.warm.client import hand_over


def main() -> None:
    """Run the command with this process's arguments; ends in SystemExit."""
    one_of_several = is_one_of_several()
    if advisor.in_experiment() or one_of_several:
        end_with_parent()  # NNI's shell: if that alone is killed, NNI takes the trial for gone; or torchrun
    code = None if one_of_several else hand_over(sys.argv[1:])
    if code is None:  # by hand, or there is no server to hand it to
        # Imported here: a trial that is handed over does without what this imports.
        from trial.commands.train import run_command

        run_command(sys.argv[1:])
    sys.exit(code)


if __name__ == "__main__":
    main()
