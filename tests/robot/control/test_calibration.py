"""The calibration file: comes back as it was, is refused when damaged, and the newest is found."""

import json
from dataclasses import replace

import pytest

from robot.control.calibration import (
    Calibration,
    CalibrationError,
    CalibrationMark,
    CameraCalibration,
    Intrinsics,
    calibration_warning,
    load_calibration,
    newest_calibration,
)

QUARTER_TURN = ((0.0, -1.0, 0.0, 0.6), (1.0, 0.0, 0.0, -0.1), (0.0, 0.0, 1.0, 0.5), (0.0, 0.0, 0.0, 1.0))
CAMERA = CameraCalibration(
    (480, 640),
    Intrinsics((700.5, 701.0), (319.5, 239.5), (-0.1, 0.02, 0.0, 0.0, 0.0)),
    "base",
    QUARTER_TURN,
    0.3,
    0.2,
    24,
)
CALIBRATION = Calibration(
    "wx250s",
    "2026-11-21T10:00:05+00:00",
    (0.0, 0.01, -0.02, 0.003, 0.04, 0.0),
    (None, 0.001, 0.001, 0.002, 0.001, None),
    {"front": CAMERA},
)


def test_a_saved_file_is_the_same_when_loaded(tmp_path):
    path = CALIBRATION.save(tmp_path / "calibrations")
    assert path.name == "wx250s-2026-11-21T100005.json"
    again = load_calibration(path)
    assert again == CALIBRATION
    assert again.digest == CALIBRATION.digest
    assert again.cameras["front"].matrix()[0, 3] == 0.6
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_every_number_counts_for_the_digest():
    others = [
        replace(CALIBRATION, date="2026-11-21T10:00:06+00:00"),
        replace(CALIBRATION, joint_offsets=(0.0, 0.01, -0.02, 0.003, 0.0401, 0.0)),
        replace(CALIBRATION, cameras={"front": replace(CAMERA, views=25)}),
        replace(CALIBRATION, cameras={"side": CAMERA}),
    ]
    assert len({c.digest for c in [CALIBRATION, *others]}) == 5


def test_files_are_never_overwritten(tmp_path):
    CALIBRATION.save(tmp_path)
    with pytest.raises(CalibrationError, match="never overwritten"):
        replace(CALIBRATION, joint_offsets=(0.0,) * 6).save(tmp_path)
    assert load_calibration(tmp_path / CALIBRATION.file_name) == CALIBRATION


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CalibrationError, match="can't be written"):
        CALIBRATION.save(tmp_path / "file")


@pytest.mark.parametrize("damage", ["half", "number", "digest", "missing key", "kind", "list", "gone"])
def test_damage_is_refused(tmp_path, damage):
    path = CALIBRATION.save(tmp_path)
    text = path.read_text()
    raw = json.loads(text)
    if damage == "half":
        path.write_text(text[: len(text) // 2])
    elif damage == "number":
        assert text.count("0.003") == 1
        path.write_text(text.replace("0.003", "0.004"))
    elif damage == "digest":
        path.write_text(json.dumps({**raw, "digest": "0" * 64}))
    elif damage == "missing key":
        del raw["calibration"]["cameras"]["front"]["mount"]
        path.write_text(json.dumps(raw))
    elif damage == "kind":
        path.write_text(json.dumps({**raw, "kind": "another"}))
    elif damage == "list":
        path.write_text("[1, 2]")
    else:
        path.unlink()
    with pytest.raises(CalibrationError, match=path.name):
        load_calibration(path)


def test_the_newest_counts_and_a_damaged_newest_is_not_skipped(tmp_path):
    assert newest_calibration(tmp_path / "nowhere", "wx250s") is None
    dates = ["2026-11-21T10:00:05+00:00", "2026-12-01T09:00:00+00:00", "2025-12-31T23:59:59+00:00"]
    for date in dates:
        replace(CALIBRATION, date=date).save(tmp_path)
    replace(CALIBRATION, arm="wx250", date="2027-01-01T00:00:00+00:00").save(tmp_path)
    (tmp_path / "wx250s-notes.json").write_text("mine")
    assert newest_calibration(tmp_path, "wx250s").date == dates[1]
    assert newest_calibration(tmp_path, "vx300s") is None
    (tmp_path / "wx250s-2026-12-01T090000.json").write_text("{")
    with pytest.raises(CalibrationError, match="can't be read"):
        newest_calibration(tmp_path, "wx250s")


def test_names_are_in_utc_so_that_they_sort_by_time():
    summer = replace(CALIBRATION, date="2026-07-01T01:30:00+02:00")
    assert summer.file_name == "wx250s-2026-06-30T233000.json"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arm": "wx/250s"}, "letters"),
        ({"date": "yesterday"}, "no date"),
        ({"date": "2026-11-21T10:00:05"}, "time zone"),
        ({"joint_offsets": (0.0,) * 5}, "one offset and one deviation a joint"),
        ({"joint_offsets": (float("nan"),) * 6}, "finite"),
        ({"joint_deviations": (-0.1,) * 6}, "finite"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(CalibrationError, match=message):
        replace(CALIBRATION, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mount": "ceiling"}, "mount"),
        ({"pose": QUARTER_TURN[:3]}, "4 rows"),
        ({"pose": ((0.0, -1.1, 0.0, 0.6), *QUARTER_TURN[1:])}, "rotation"),
        ({"pose": ((0.0, 1.0, 0.0, 0.6), *QUARTER_TURN[1:])}, "rotation"),  # a mirror
        ({"views": 0}, "at least one view"),
        ({"error_px": -1.0}, "0 or more"),
    ],
)
def test_a_camera_that_cannot_be_is_refused(changes, message):
    with pytest.raises(CalibrationError, match=message):
        replace(CAMERA, **changes)


def test_intrinsics_take_four_or_nine_numbers():
    assert Intrinsics.of([1, 2, 3, 4]) == Intrinsics((1.0, 2.0), (3.0, 4.0))
    assert Intrinsics.of(range(1, 10)).distortion == (5.0, 6.0, 7.0, 8.0, 9.0)
    with pytest.raises(CalibrationError, match="got 5 numbers"):
        Intrinsics.of([1, 2, 3, 4, 5])
    with pytest.raises(CalibrationError, match="above 0"):
        Intrinsics.of([0, 2, 3, 4])


def test_the_warning_names_both_dates_and_only_when_they_differ():
    old = CALIBRATION.mark
    new = replace(CALIBRATION, date="2026-12-01T09:00:00+00:00").mark
    text = calibration_warning(old, new)
    assert old.date in text
    assert new.date in text
    assert "success" in text
    assert calibration_warning(old, old) is None
    assert calibration_warning(None, new) is None
    assert calibration_warning(old, None) is None


def test_a_mark_survives_a_header():
    mark = CALIBRATION.mark
    assert CalibrationMark.from_header({"calibration": json.loads(json.dumps(mark.to_dict()))}) == mark
    assert CalibrationMark.from_header({"calibration": None}) is None
    assert CalibrationMark.from_header({}) is None
