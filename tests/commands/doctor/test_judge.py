"""The doctor loads the judge's model and times it."""

import pytest
from helpers.small_clip import NAME, small_clip
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from commands.doctor.judge import check_judge
from commands.doctor.report import examine
from robot.rollout import judging

OmegaConf.register_new_resolver("cores", lambda: 1, replace=True)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return small_clip(tmp_path_factory.mktemp("clip"))


def found(*overrides):
    with initialize_config_module("configs", version_base="1.3"):
        (finding,) = examine("judge", lambda: check_judge(compose("doctor", list(overrides))))
    return finding


def test_weights_that_are_missing_are_named_with_the_way_to_get_them(tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    missing = found("robot=widowx")
    assert missing.state == "FAIL"
    assert "hf download laion/CLIP-ViT-B-32-laion2B-s34B-b79K open_clip_model.safetensors" in missing.found


@pytest.mark.parametrize(
    ("robot", "seconds", "state", "said"),
    [
        ("widowx", 0.03, "ok", "small-clip on the CPU with 2 threads: 30 ms an image"),
        ("widowx", 0.15, "ok", "150 ms an image, more than 100 ms: it judges beside the motion"),
        ("widowx", 0.25, "FAIL", "250 ms an image, 180 ms are allowed at 5 control steps a second"),
        ("twin", 0.25, "ok", "250 ms an image"),
    ],
)
def test_the_time_of_an_image_is_held_against_the_control_rate(weights, monkeypatch, robot, seconds, state, said):
    ticks = iter(range(1000))
    # the model really runs; the clock is read before and after
    monkeypatch.setattr(judging, "time", type("Clock", (), {"monotonic": lambda self: next(ticks) * seconds})())
    finding = found(
        f"robot={robot}", "reward=clip", f"reward.backbone={NAME}", f"reward.pretrained={weights}", "reward.threads=2",
        "reward.device=cpu",
    )  # fmt: skip
    assert (finding.state, said in finding.found) == (state, True), finding


def test_a_kind_from_outside_looks_after_itself():
    assert "comes from a package outside, which looks after it" in found("+reward.kind=coin").found


def test_a_model_at_an_address_is_named():
    said = found("reward=generative_vlm", "reward.model=eye", "reward.address=http://gpu.local:8000/v1").found
    assert said.startswith("asks eye at http://gpu.local:8000/v1 at the end of an episode")


def test_rivals_are_timed_as_the_classifier_is():
    assert "ms an image" in found("reward=vice").found


def test_wrong_settings_are_named():
    assert "reward.threads=0 is out of range" in found("reward.threads=0").found
    assert "reward.device=tpu is unknown" in found("reward.device=tpu").found
