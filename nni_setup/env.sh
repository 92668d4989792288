#!/bin/sh
# Makes .venv from both locks and installs the project into it, editable; a no-op while these files, the pins they
# were made from and pyproject.toml are the same, it works, and the project was not moved.
# PYTHON=/path/to/python picks the Python, PIP_ARGS=... is handed to pip, LOCK=0 installs the pins instead of the locks.
# Interrupted halfway, it goes on next time; a second one at the same time waits for the first.
set -u
project=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$project" || exit 1
venv=$project/.venv
stamp=$venv/.made
kind=lock hashes=--require-hashes
[ "${LOCK:-1}" != 0 ] || kind=txt hashes=
pins=$(cat requirements.txt requirements-no-deps.txt requirements.lock requirements-no-deps.lock pyproject.toml \
  nni_setup/startup.pth | cksum)
FITS='import sys, sysconfig
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) or bool(sysconfig.get_config_var("Py_GIL_DISABLED")))'
VERSION='import sys; print("%d.%d" % sys.version_info[:2])'
LOCK='import fcntl, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("another make env is at work in this project: waiting for its end", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)
except OSError:
    pass  # a file system without locks: do without'

say() { echo "$@" >&2; }
fits() { "$1" -c "$FITS" >/dev/null 2>&1; }
makes_venvs() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

find_python() {  # a version manager's python3.12 may be there and yet fail to run: try each one
  without_venv=
  for name in python3.12 python3.11 python3.13 python3 python; do
    old_ifs=$IFS; IFS=:
    for folder in $PATH; do
      IFS=$old_ifs
      case $folder in "$venv"/*) continue ;; esac
      candidate=$folder/$name
      [ -x "$candidate" ] && fits "$candidate" || continue
      if makes_venvs "$candidate"; then echo "$candidate"; return 0; fi
      without_venv=$candidate
    done
    IFS=$old_ifs
  done
  if [ -n "$without_venv" ]; then
    say "$without_venv fits, but lacks the venv module: install it (Debian, Ubuntu: apt install python3-venv), then make env"
  else
    say "Python 3.11, 3.12 or 3.13 is needed and none was found in PATH: install one, or make env PYTHON=/path/to/python3.12"
  fi
  return 1
}

works() { fits "$venv/bin/python" && "$venv/bin/python" -c 'import pip' 2>/dev/null; }

stamped() {
  made_for=; made_in=
  [ -f "$stamp" ] && { read -r made_for; read -r made_in; } <"$stamp"
  [ "$made_for" = "$pins" ] && [ "$made_in" = "$project" ]
}

wanted_version() {
  [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -c "$VERSION")" = "$("$venv/bin/python" -c "$VERSION" 2>/dev/null)" ]
}

if [ -n "${PYTHON:-}" ]; then
  fits "$PYTHON" || { say "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13 that runs"; exit 1; }
  makes_venvs "$PYTHON" || { say "PYTHON=$PYTHON lacks the venv module"; exit 1; }
fi
stamped && works && wanted_version && exit 0

python=${PYTHON:-}
[ -n "$python" ] || works || python=$(find_python) || exit 1
# The lock belongs to this file as opened here: it ends with this shell and the pip that it started, killed or not.
exec 9>>nni_setup/env.sh || exit 1
"${python:-$venv/bin/python}" -c "$LOCK" || exit 1

if ! wanted_version || ! works; then
  rm -f "$stamp"; rm -rf "$venv"
elif stamped; then
  exit 0  # made while this one waited
fi
stamped
rm -f "$stamp"

if [ ! -x "$venv/bin/python" ]; then
  [ -n "$python" ] || python=$(find_python) || exit 1
  say "making .venv with $python; the packages are large (7 GB), this takes some minutes the first time"
  "$python" -m venv "$venv" || { say "$python can't make an environment in $venv"; exit 1; }
elif [ "$made_in" != "$project" ]; then
  "$venv/bin/python" -m venv "$venv" || exit 1  # activate names the folder it was made in
fi
# shellcheck disable=SC2086  # PIP_ARGS holds several words
install() { "$venv/bin/python" -m pip install --disable-pip-version-check --no-compile ${PIP_ARGS:-} "$@" >&2; }
if [ "$made_for" != "$pins" ]; then
  # shellcheck disable=SC2086  # no word for the pins
  install $hashes -r requirements.$kind && install $hashes --no-deps -r requirements-no-deps.$kind || {
    say "pip could not install the pins, its reason is above; make env goes on from here"
    exit 1
  }
  # What it is built with is among the pins.
  install --no-deps --no-build-isolation --editable . || {
    say "pip could not install this project, its reason is above; make env goes on from here"
    exit 1
  }
fi
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))') || exit 1
if [ "$made_for" != "$pins" ]; then
  # By all cores, where pip uses one. Some packages hold files for other versions of Python, which do not compile.
  case " ${PIP_ARGS:-} " in
    *" --no-compile "*) ;;
    *) "$venv/bin/python" -m compileall -q -j 0 "$site" >/dev/null 2>&1 ;;
  esac
fi
cp nni_setup/startup.pth "$site/face_mask_startup.pth" && "$venv/bin/python" nni_setup/relocate.py || exit 1
printf '%s\n%s\n' "$pins" "$project" >"$stamp.new" && mv "$stamp.new" "$stamp" || exit 1
case $(uname -m) in
  x86_64 | amd64 | AMD64) ;;
  *) say "NNI has no build for $(uname -m): searches (nnictl, make demo) can't run here; trial, retrain and analysis can" ;;
esac
