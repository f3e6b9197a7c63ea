# Two commands matter: `make demo` and `make test`. Both do all the set-up on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN := MUJOCO_GL=egl
TOGETHER := tests/test_end_to_end.py tests/test_outside_package.py tests/factory tests/test_walks.py tests/drivers/widowx/test_holds_always.py \
	tests/policies tests/rewards tests/trajectories tests/sim/captions tests/sim/experts tests/sim/scene tests/sim/tasks tests/commands/gym \
	tests/commands/test_settings.py tests/commands/test_kinds.py tests/commands/test_configs.py tests/commands/test_instructions.py \
	tests/commands/test_command_line.py tests/commands/test_finetune.py tests/commands/report tests/commands/demo tests/commands/doctor \
	tests/commands/watch tests/robot/arms tests/robot/control tests/drivers/calibration tests/test_house.py \
	tests/commands/importing tests/commands/test_new_task.py tests/commands/test_needs.py tests/sim/robosuite \
	tests/commands/review tests/commands/test_label.py tests/commands/test_evaluate_reward.py tests/commands/evaluate \
	tests/commands/test_serve_policy.py
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
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q -o requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
