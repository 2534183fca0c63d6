#!/usr/bin/env bash
# What every command in the Ascend image is started with: the software's own settings, and the libraries of the driver, which
# is mounted when the container starts.
set -euo pipefail
# shellcheck source=scripts/run_options.sh
source "$(dirname "${BASH_SOURCE[0]}")/../run_options.sh"

load_ascend_environment
driver=/usr/local/Ascend/driver/lib64
export LD_LIBRARY_PATH="$driver:$driver/common:$driver/driver${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$@"
