"""YAML files of packages outside: found, listed, and refused when two names are alike or the folder isn't there."""

import subprocess
import sys

import pytest
from helpers import ROOT
from helpers.outside import environment

from commands.outside_configs import add_outside_configs, choices, config_modules
from trajectories.errors import ConfigError

OWN = sorted(path.stem for path in (ROOT / "configs" / "task").glob("*.yaml"))


@pytest.fixture
def bring(tmp_path, monkeypatch):
    """Makes a package of YAML files, as an installer would leave it, and returns where they lie."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name, files, module=None):
        information = tmp_path / f"{name}-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[regrasp.configs]\n{name} = {module or f'{name}_configs'}\n")
        folder = tmp_path / f"{name}_configs"
        folder.mkdir()
        (folder / "__init__.py").touch()
        for file, text in files.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(text)
        return tmp_path

    yield make
    for module in ("lab_configs", "shop_configs"):
        sys.modules.pop(module, None)


def compose_in_a_process(installed, *overrides):
    return subprocess.run(
        [sys.executable, "-m", "commands", "collect", *overrides, "--cfg", "job"],
        cwd=ROOT, env=environment(installed), capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_without_packages_there_are_the_own_names():
    assert config_modules() == []
    assert choices("task") == OWN
    assert choices("nothing") == []
    add_outside_configs()


def test_a_packages_yaml_is_a_choice(bring):
    installed = bring("lab", {"task/sponge.yaml": "name: can_to_rack\nprior: []\nmax_steps: 7\n", "task/notes.txt": ""})
    assert choices("task") == sorted([*OWN, "sponge"])
    composed = compose_in_a_process(installed, "task=sponge")
    assert composed.returncode == 0, composed.stderr
    assert "max_steps: 7" in composed.stdout


def test_a_name_of_our_own_is_refused_before_it_could_be_taken_for_the_other(bring):
    installed = bring("lab", {"task/bin_weight.yaml": "name: mine\n"})
    with pytest.raises(ConfigError, match="task=bin_weight is in configs and in lab_configs"):
        add_outside_configs()
    refused = compose_in_a_process(installed)
    assert refused.returncode == 2
    assert "task=bin_weight is in configs and in lab_configs" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_two_packages_cannot_bring_one_name(bring):
    bring("lab", {"reward/picky.yaml": "kind: a\n"})
    bring("shop", {"reward/picky.yaml": "kind: b\n"})
    with pytest.raises(ConfigError, match="reward=picky is in lab_configs and in shop_configs"):
        choices("reward")


def test_a_folder_that_is_not_there_is_named(bring):
    bring("lab", {}, module="lab_settings")
    with pytest.raises(ConfigError, match="names the folder 'lab_settings', which can't be found"):
        add_outside_configs()
