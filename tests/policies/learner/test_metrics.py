"""Metrics while the disk refuses, and after a kill."""

import resource

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from policies.learner.metrics import FILE, MetricsLog, read_metrics


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's thread says so
def test_lines_wait_for_room_and_tensorboard_goes_on_without_those_between(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = MetricsLog(tmp_path)
    log.write(1, 0.5, {"loss": 1.0})
    log.flush()
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, hard))  # of the file's bytes; the first line takes 41
    try:
        for step in range(2, 30):
            log.write(step, 0.5, {"loss": float(step)})
            log.flush()
        assert [row["step"] for row in read_metrics(tmp_path)] == [1]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.flush()
    log.write(30, 0.5, {"loss": 30.0})
    log.close()
    assert [(row["step"], row["loss"]) for row in read_metrics(tmp_path)] == [(n, float(n)) for n in range(1, 31)]
    shown = {event.step for event in EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("loss")}
    assert {1, 30} <= shown <= set(range(1, 31))


def test_a_line_cut_by_a_kill_does_not_swallow_the_next(tmp_path):
    (tmp_path / FILE).write_text('{"step": 1, "wall_s": 0.1, "a": 1.0}\n{"step": 2, "wa')
    with MetricsLog(tmp_path) as log:
        log.write(3, 0.2, {"a": float("nan"), "word": "yes"})
    assert read_metrics(tmp_path) == [
        {"step": 1, "wall_s": 0.1, "a": 1.0}, {"step": 3, "wall_s": 0.2, "a": None, "word": "yes"},
    ]  # fmt: skip
