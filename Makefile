# Entry points. Each target runs one script in scripts/, which can also be run by itself.

.DEFAULT_GOAL := help
.PHONY: help setup quick run cluster test check bench fuzz-api histories gen clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## install the programs that building and testing need; asks first if there is a terminal
	@scripts/setup.sh

quick: ## format, lints and unit tests: for every change, in under two minutes
	@scripts/setup.sh servers
	@scripts/quick.sh

run: ## build and serve the demo on http://127.0.0.1:8080, data in ./data; ARGS="…" goes to `doorbuster serve`
	@scripts/setup.sh build
	@exec scripts/run.sh $(ARGS)

cluster: ## run nginx, three instances, two workers, PostgreSQL and Redis as plain processes, until Ctrl-C
	@scripts/setup.sh cluster
	@exec scripts/cluster.sh up

test: ## format, lints, pages, all tests, load scripts, journeys in a browser, generated files
	@scripts/test.sh

check: setup ## format, lints, documentation, the API's description, licences and known vulnerabilities of the dependencies
	@scripts/check.sh

bench: ## measure the law, the engine, and the API beside a bare endpoint and a peer (see docs/benchmarks.md)
	@scripts/setup.sh bench
	@scripts/bench $(ARGS)

fuzz-api: ## send random requests to real servers on both databases, 10 minutes; ARGS="2" for two minutes
	@scripts/setup.sh servers
	@scripts/fuzz-api.sh $(ARGS)

histories: ## play 10,000 random histories of payments through the sandbox, and as many through the stand-in for Stripe; ARGS="500" for 500
	@scripts/histories.sh $(ARGS)

gen: ## write the generated files: docs/openapi.json, docs/cli.md and the pages' types
	@scripts/setup.sh build
	@scripts/gen.sh

clean: ## remove build output (./data stays)
	@cargo clean
	@rm -rf web/dist web/node_modules
