"""Weights onto a machine: from the hub, from a file of another machine, and what is said of them."""

from types import SimpleNamespace

import huggingface_hub
import open_clip.pretrained
import pytest
from helpers.small_clip import NAME, small_clip
from hydra import compose, initialize_config_module

from commands import fetch_weights
from rewards.backbone import load_backbone
from rewards.fetching import describe, expected, fetch, take
from rewards.weight_files import CLIP_MEAN, CLIP_STD, WeightFile, find_weights, kept_file
from trajectories.errors import CheckpointError, ConfigError, MissingDependencyError


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return small_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """Neither network nor cache; open_clip knows weights of the small model under a tag."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_: (_ for _ in ()).throw(OSError("no route")))
    tag = {"hf_hub": "lab/small/", "mean": (0.5,) * 3, "std": (0.4,) * 3}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, NAME, {"tiny": tag})


def test_a_file_of_another_machine_is_kept_and_found_from_then_on(file, tmp_path):
    with pytest.raises(MissingDependencyError, match="regrasp fetch-weights from=FILE"):
        find_weights(NAME, "tiny", allow_download=False)
    taken = take(NAME, "tiny", file)
    assert taken.path == tmp_path / "share" / "regrasp" / "weights" / NAME / "tiny.safetensors"
    found = find_weights(NAME, "tiny", allow_download=False)
    assert (found.path, found.mean, found.std) == (taken.path, (0.5,) * 3, (0.4,) * 3)
    assert found.digest == WeightFile(NAME, file).digest
    assert load_backbone(NAME, "tiny").image_width == 64


def test_a_file_of_another_model_or_format_is_refused_and_nothing_is_kept(file, tmp_path):
    other = tmp_path / "other.safetensors"
    other.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match=f"does not hold weights of {NAME}"):
        take(NAME, "tiny", other)
    with pytest.raises(ConfigError, match=r"weights\.bin is not there; expected a safetensors file"):
        take(NAME, "tiny", tmp_path / "weights.bin")
    with pytest.raises(ConfigError, match="is a folder; expected a safetensors file"):
        take(NAME, "tiny", tmp_path)
    with pytest.raises(ConfigError, match="knows no weights 'huge'"):
        take(NAME, "huge", file)
    assert not kept_file(NAME, "tiny").exists()


@pytest.mark.parametrize("damaged", [False, True])
def test_what_the_hub_sends_is_held_against_its_digest(file, monkeypatch, damaged):
    digest = WeightFile(NAME, file).digest
    stated = "0" * 64 if damaged else digest
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repository, name: str(file))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url: SimpleNamespace(etag=stated))
    if damaged:
        with pytest.raises(CheckpointError, match="damaged on the way"):
            fetch(NAME, "tiny")
    else:
        assert fetch(NAME, "tiny").digest == digest


def test_source_licence_size_and_digest_are_said(file):
    assert "about 605 MB, from laion/CLIP-ViT-B-32-laion2B-s34B-b79K; MIT" in expected("ViT-B-32", "laion2b_s34b_b79k")
    assert "research alone" in expected("MobileCLIP2-S0", "dfndr2b")
    assert "Apache 2.0" in expected("ViT-B-16-SigLIP2-256", "webli")
    of_file = "\n".join(describe(WeightFile(NAME, file, CLIP_MEAN, CLIP_STD), "tiny"))
    assert f"lab/small\nlicence see its page on the Hugging Face hub\n{file}, 14 MB\nsha256 " in of_file
    shipped = describe(find_weights("embedded", None, allow_download=False), None)
    assert shipped[:2] == ("embedded: ships with Regrasp, trained on the twin's renders", "licence Regrasp's own")


def run(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        fetch_weights.run(compose("fetch_weights", list(overrides)))


def test_the_verb_says_what_it_does(file, capsys):
    run(f"reward.backbone={NAME}", "reward.pretrained=tiny", f"from={file}")
    said = capsys.readouterr().out
    assert "from lab/small" in said
    assert f"sha256 {WeightFile(NAME, file).digest}" in said
    assert "It loads: images of 32 pixels, embeddings of 64 numbers, texts of up to 77 tokens" in said
    run("reward=embedded")
    assert "Nothing to fetch" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"from=.* would not be used: reward\.backbone=embedded"):
        run("reward=embedded", f"from={file}")
    with pytest.raises(MissingDependencyError, match="not on this machine"):
        run()


def test_a_file_of_ones_own_that_is_damaged_is_not_approved(file, tmp_path, capsys):
    own = tmp_path / "own.safetensors"
    own.write_bytes(file.read_bytes())
    run(f"reward.backbone={NAME}", f"reward.pretrained={own}")
    assert "used as it is. It loads: images of 32 pixels" in capsys.readouterr().out
    own.write_bytes(b"x" * 100)
    with pytest.raises(CheckpointError, match=rf"own\.safetensors does not hold weights of {NAME}"):
        run(f"reward.backbone={NAME}", f"reward.pretrained={own}")


def test_a_tokenizer_that_is_not_here_is_named_with_the_way_to_get_it(monkeypatch, file):
    monkeypatch.setattr("open_clip.get_tokenizer", lambda model: (_ for _ in ()).throw(ImportError("transformers")))
    with pytest.raises(MissingDependencyError, match="pip install transformers"):
        load_backbone(NAME, str(file))
