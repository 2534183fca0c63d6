#!/usr/bin/env bash
# Entry point of the Ascend image: sets the environment of the Ascend software and the library path of the driver, which is
# mounted when the container starts.
set -euo pipefail
# shellcheck source=scripts/run_options.sh
source "$(dirname "${BASH_SOURCE[0]}")/../run_options.sh"

load_ascend_environment
driver=/usr/local/Ascend/driver/lib64
export LD_LIBRARY_PATH="$driver:$driver/common:$driver/driver${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$@"
