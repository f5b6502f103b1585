#!/usr/bin/env bash
# Checks docs/openapi.json by the rules that Redocly recommends, all of them as errors.

# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/api-lib.sh
source scripts/api-lib.sh

need_programs node npm
install_node_tools
# It sends nothing to its makers, and asks nobody for a newer version.
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
scripts/api-tools/node_modules/.bin/redocly lint --config scripts/api-tools/redocly.yaml docs/openapi.json
