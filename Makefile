# The doors to the house. Each target is one script in scripts/, which can also be called by itself.

.DEFAULT_GOAL := help
.PHONY: help setup run cluster test check bench gen clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## install what is missing to build and test (the others do this first)
	@scripts/setup.sh

run: setup ## build and serve the demo on http://127.0.0.1:8080, data in ./data; ARGS="…" goes to `doorbuster serve`
	@exec scripts/run.sh $(ARGS)

cluster: setup ## run nginx, three instances, two workers, PostgreSQL and Redis as plain processes, until Ctrl-C
	@exec scripts/cluster.sh up

test: setup ## format, lints, pages, all tests, load scripts, journeys in a browser, generated files
	@scripts/test.sh

check: setup ## format, lints, documentation, licences and known holes of the dependencies
	@scripts/check.sh

bench: ## measure the law, the engine, and the API beside a bare endpoint and a peer (see docs/benchmarks.md)
	@scripts/setup.sh bench
	@scripts/bench $(ARGS)

gen: setup ## write docs/openapi.json, docs/cli.md and the pages' types anew from the code
	@scripts/gen.sh

clean: ## remove what was built (./data stays)
	@cargo clean
	@rm -rf web/dist web/node_modules
