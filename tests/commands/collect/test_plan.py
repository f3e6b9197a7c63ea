"""The plan of `collect` follows from the settings alone."""

from collections import Counter

from commands.collect.plan import collect_plan

SETTINGS = {
    "task": "pot", "prior_tasks": ["cube", "can"], "failures": ["miss", "drop"], "demos": 3, "demo_failures": 2,
    "prior_episodes": 4, "play": 5, "aftermath": 3, "noise": 0.2, "seed": 7, "max_steps": 40,
}  # fmt: skip


def test_counts_and_unique_keys():
    jobs = collect_plan(**SETTINGS)
    assert Counter(job.kind for job in jobs) == {"play": 5, "demo": 6, "failure": 4, "prior": 16, "aftermath": 12}
    assert len({job.key for job in jobs}) == len(jobs) == len({job.seed for job in jobs})
    assert [job.failure for job in jobs if job.kind == "failure"] == ["miss", "drop"] * 2
    assert sum(job.failure is not None for job in jobs if job.kind == "prior") == 4
    assert Counter(job.failure for job in jobs if job.kind == "aftermath") == {None: 6, "edge": 4, "border": 2}


def test_the_same_settings_give_the_same_plan_and_another_seed_another():
    assert collect_plan(**SETTINGS) == collect_plan(**SETTINGS)
    other = collect_plan(**{**SETTINGS, "seed": 8})
    assert not {job.key for job in other} & {job.key for job in collect_plan(**SETTINGS)}


def test_a_larger_plan_contains_the_smaller():
    more = collect_plan(**{**SETTINGS, "demos": 6, "play": 9})
    assert set(collect_plan(**SETTINGS)) <= set(more)
