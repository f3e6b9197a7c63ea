"""Whether the judge's weights are on this computer, and whether it is fast enough beside the arm."""

from __future__ import annotations

from collections.abc import Iterator

from omegaconf import DictConfig

from commands.doctor.report import Finding, fail, ok
from factory.reward import asks_a_model, judges_through_backbone
from factory.spec import cameras_of_judge, plain, spec_of
from robot.control.controller import LATEST_START
from robot.rollout.judging import BESIDE, measured_s, sample_observation


def check_judge(config: DictConfig) -> Iterator[Finding]:
    """Load the backbone of the group `reward` and time it on an image of each of the judge's cameras.

    Raises:
        MissingDependencyError: When its weights are not here; says how to get them.
        ConfigError: For a wrong setting.
    """
    if asks_a_model(config):
        asked = f"{config.reward.model or 'a model'} at {config.reward.address}"
        yield ok("judge", f"asks {asked} at the end of an episode; `regrasp train-reward` tries it")
        return
    if not judges_through_backbone(config):
        yield ok("judge", f"reward.kind={config.reward.kind} comes from a package outside, which looks after it")
        return
    from rewards.classifier import image_features
    from rewards.fetching import describe
    from rewards.threads import computing_with
    from rewards.vlm_kind import backbone_from, threads_from
    from rewards.weight_files import EMBEDDED, find_weights

    settings, spec = plain(config.reward), spec_of(config)
    name, tag = str(settings.get("backbone") or EMBEDDED), settings.get("pretrained")
    backbone, threads = backbone_from(settings), threads_from(settings)
    cameras = cameras_of_judge(config)
    images = [sample_observation(spec, "").images[camera][None] for camera in cameras]
    with computing_with(threads):
        taken_s = measured_s(lambda: image_features(backbone, images, False).pooled.cpu())
    between, beside = LATEST_START / spec.control_hz, BESIDE / spec.control_hz
    place = f"the CPU with {threads} threads" if backbone.device.type == "cpu" else "the GPU"
    what = "an image" if len(cameras) == 1 else f"for {len(cameras)} images"
    weights = "; ".join(describe(find_weights(name, tag, allow_download=False), tag))
    found = f"{backbone.name} on {place}: {1e3 * taken_s:.0f} ms {what}"
    if config.robot.name == "twin" or taken_s <= between:
        yield ok("judge", f"{found}. {weights}")
    elif taken_s <= beside:
        late = f"more than {1e3 * between:.0f} ms: it judges beside the motion, a step later"
        yield ok("judge", f"{found}, {late}. {weights}")
    else:
        yield fail(
            "judge",
            f"{found}, {1e3 * beside:.0f} ms are allowed at {spec.control_hz:g} control steps a second",
            "Let it have a GPU (reward.device=cuda) or more cores (reward.threads=4), end what else uses them, or give "
            "a smaller model (reward.backbone).",
        )
