# The doors of this project. Each starts from a fresh clone and finds or installs what it needs.
.DEFAULT_GOAL := help
# It counts how long a callback waits, so nothing else may run beside it.
ALONE := tests/faults/test_load_with_faults.py
.PHONY: help run serve test check format soak world kills network load mutants bench backup restore audit image

help: ## show these lines
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

run: ## the live demo: desk, workers, clock and sandbox; Ctrl+C stops them all
	@scripts/run.sh

serve: ## the desk itself, from .env, plain HTTP on 127.0.0.1:$PORT
	@scripts/serve.sh

test: ## every fast test: on PostgreSQL where there is one, then on SQLite with the browser tests
	@scripts/test.sh

check: ## format, lint, types, imports, templates, migrations, settings for production, lock file
	@scripts/check.sh

format: ## write the code and the templates the way `make check` wants them
	@scripts/setup.sh dev
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .
	@find templates -name '*.html' -exec .venv/bin/djade {} +

soak: ## a tenth of every long run, with some mutants; N=500 one size for all, SHARE=1 the full ones, SEED=7 other ones
	@scripts/setup.sh dev
	@SOAK_RUNS="$(N)" SOAK_SEED="$(SEED)" SOAK_SHARE="$(or $(SHARE),0.1)" .venv/bin/pytest -m soak -n "$$(getconf _NPROCESSORS_ONLN)" --no-loadscope-reorder --ignore $(ALONE)
	@SOAK_RUNS="$(N)" SOAK_SEED="$(SEED)" SOAK_SHARE="$(or $(SHARE),0.1)" .venv/bin/pytest -m soak $(ALONE)
	@N="$(or $(N),40)" SEED="$(SEED)" .venv/bin/python -m tests.mutation

world: ## the model of the world: people, suppliers, network, dying processes; N=250000 steps
	@scripts/setup.sh dev
	@SOAK_RUNS="$(N)" SOAK_SEED="$(SEED)" .venv/bin/pytest -m soak tests/world -n "$$(getconf _NPROCESSORS_ONLN)" --no-loadscope-reorder

kills: ## web, worker and clock killed with -9 at named points and at random; N=1000 kills
	@scripts/setup.sh dev
	@SOAK_RUNS="$(N)" SOAK_SEED="$(SEED)" .venv/bin/pytest -m soak tests/running/test_killing.py

network: ## a hostile network between desk and sandbox; N=600 cuts
	@scripts/setup.sh dev
	@SOAK_RUNS="$(N)" SOAK_SEED="$(SEED)" .venv/bin/pytest -m soak tests/faults/test_hostile_network.py

load: ## fifty callbacks a second, five agents, one fault in twenty; N=20 minutes
	@scripts/setup.sh dev
	@SOAK_RUNS="$$(($(or $(N),20) * 60))" SOAK_SEED="$(SEED)" .venv/bin/pytest -m soak $(ALONE)

mutants: ## change the guards one by one and see whether a test notices; N=60 draws so many, ONLY=refund of such files
	@scripts/setup.sh dev
	@N="$(N)" SEED="$(SEED)" ONLY="$(ONLY)" .venv/bin/python -m tests.mutation

bench: ## speed beside its floors, and what a minute of sending is worth; ITEMS=1000000 rows, N=500 items to send
	@scripts/setup.sh dev
	@mkdir -p var/bench
	@DATABASE_URL=sqlite:///$(CURDIR)/var/bench/desk.sqlite3 .venv/bin/python -m benchmarks --items $(or $(ITEMS),100000)
	@! .venv/bin/python tests/postgres.py --available || .venv/bin/python tests/postgres.py --durable .venv/bin/python -m benchmarks --items $(or $(ITEMS),100000)
	@.venv/bin/python benchmarks/sending.py

backup: ## one file with the whole database, taken while the desk works; FILE=… names it
	@FILE="$(FILE)" scripts/backup.sh

restore: ## put the backup FILE=… in place, and verify the audit log
	@FILE="$(FILE)" scripts/restore.sh

audit: ## known faults of the libraries, their licences, and the third-party files
	@scripts/audit.sh

image: ## lint the Dockerfile and, where there is an engine, build the image
	@scripts/image.sh
