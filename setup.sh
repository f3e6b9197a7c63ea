#!/usr/bin/env bash
# Everything a fresh machine needs: system libraries, a virtual environment, the locked packages, this project.
set -euo pipefail
cd "$(dirname "$0")"
venv="${1:-.venv}"
python="${PYTHON:-python3}"

say() { printf 'setup: %s\n' "$*"; }

# Headless rendering needs EGL with Mesa's driver, pyrealsense2 needs libusb, OpenCV needs GLib. A C++ compiler is for
# torch.compile and, with the headers of Python and of Linux, for evdev, which comes as source only. iproute2 is for
# tests and figures of the link over bad networks.
missing=()
libraries="$(ldconfig -p 2>/dev/null || true)"
[[ $libraries == *libEGL.so.1* ]] || missing+=(libegl1)
[[ $libraries == *libEGL_mesa.so.0* || $libraries == *libEGL_nvidia.so.0* ]] || missing+=(libegl-mesa0 libgl1-mesa-dri)
[[ $libraries == *libOpenGL.so.0* || $libraries == *libGL.so.1* ]] || missing+=(libgl1)
[[ $libraries == *libusb-1.0.so.0* ]] || missing+=(libusb-1.0-0)
[[ $libraries == *libgthread-2.0.so.0* ]] || missing+=(libglib2.0-0)
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
command -v ip >/dev/null || missing+=(iproute2)
command -v g++ >/dev/null || missing+=(g++)
[[ -e /usr/include/linux/input.h ]] || missing+=(linux-libc-dev)
header="$("$python" -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')"
[[ -e $header ]] || missing+=(python3-dev)
if ((${#missing[@]})); then
    if ! command -v apt-get >/dev/null; then
        say "please install these system packages (Debian's names) and run this again: ${missing[*]}"
        exit 1
    fi
    as_root=()
    ((EUID == 0)) || as_root=(sudo)
    say "installing system packages: ${missing[*]}"
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "${missing[@]}"
fi

"$python" - <<'PY'
import sys

if sys.version_info < (3, 11):
    sys.exit(f"setup: Python 3.11 or newer is needed, this is {sys.version.split()[0]}; name another with PYTHON=…")
PY

[[ -x $venv/bin/python ]] || "$python" -m venv "$venv"
say "installing the locked packages (about 7 GB with the CUDA libraries, minutes on a slow network)"
"$venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r bootstrap.lock
"$venv/bin/uv" pip install -q --python "$venv/bin/python" --require-hashes -r requirements.lock
"$venv/bin/uv" pip install -q --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
say "compiling the bytecode of what the commands import, so that each starts in half the time"
env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" - <<'PY' || say "not compiled: commands start slower"
import contextlib
import importlib
import pkgutil

for library in ("hydra", "torch._dynamo"):  # imported late
    importlib.import_module(library)
for room in ("trajectories", "robot", "drivers", "sim", "rewards", "policies", "factory", "commands"):
    for module in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}."):
        with contextlib.suppress(Exception):  # a device's library that this machine lacks
            importlib.import_module(module.name)
PY
say "done"
