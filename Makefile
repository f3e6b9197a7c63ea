# Two commands matter: `make demo` and `make test`. Both do all the set-up on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN := MUJOCO_GL=egl
TOGETHER := tests/test_end_to_end.py tests/test_outside_package.py tests/commands/test_new_task.py tests/factory tests/test_walks.py \
	tests/drivers/widowx/test_holds_always.py tests/test_fault_table.py tests/policies tests/rewards tests/commands/importing \
	tests/commands/gym tests/sim/robosuite tests/commands/test_finetune.py tests/commands/evaluate tests/trajectories tests/sim/captions \
	tests/sim/experts tests/sim/scene tests/sim/tasks tests/commands/test_settings.py tests/commands/test_kinds.py \
	tests/commands/test_configs.py tests/commands/test_instructions.py tests/commands/test_command_line.py tests/commands/report \
	tests/commands/demo tests/commands/doctor tests/commands/watch tests/robot/arms tests/robot/control tests/drivers/calibration \
	tests/test_house.py tests/commands/test_needs.py tests/commands/review tests/commands/test_label.py tests/commands/test_evaluate_reward.py \
	tests/commands/test_serve_policy.py tests/commands/test_buckets.py tests/commands/bench tests/commands/collect tests/commands/test_inspect.py \
	tests/commands/engine/test_local.py tests/commands/engine/test_ray.py tests/commands/test_certificates.py tests/commands/test_outside_configs.py tests/robot/rollout tests/robot/demonstration \
	tests/sim/test_collect.py tests/sim/test_flat_env.py tests/sim/test_occlusion.py tests/sim/test_operators.py tests/sim/test_register.py \
	tests/sim/test_rendering.py tests/sim/test_state_env.py tests/sim/test_by_start.py tests/sim/test_true_eyes.py tests/sim/test_arm_model.py tests/sim/test_devices.py tests/test_fuzz.py \
	tests/test_security_table.py tests/test_network.py tests/test_fleet_soak.py
MAKEFLAGS += --no-builtin-rules

.PHONY: demo test check format lock clean

demo: $(READY)  ## the whole path in the twin; prints the path of an HTML report
	$(RUN) $(BIN)/regrasp demo $(ARGS)

test: $(READY)  ## every test: first, two at once, those in which no time is measured
	$(RUN) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(TOGETHER)
	$(RUN) $(BIN)/python -m pytest $(foreach folder,$(TOGETHER),--ignore=$(folder))

check: $(READY)  ## format, lint and types, exactly as CI runs them
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): requirements.lock bootstrap.lock pyproject.toml setup.sh
	PYTHON=$(PYTHON) bash setup.sh $(VENV)
	touch $(READY)

lock: $(READY)  ## renew both lock files from pyproject.toml
	echo 'uv>=0.9' | $(BIN)/uv pip compile - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q -o bootstrap.lock
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra s3 --extra ray --extra sweep --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
