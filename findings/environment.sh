# shellcheck shell=bash disable=SC2034
# Sourced by the scripts of this folder: a fresh Python environment in a temporary folder that is deleted at the end.
#
#     source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
#     install_packages numpy==1.26.4 soxr==0.5.0      # sets $python
#     "$python" - <<'PYTHON' ...

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

# Makes an environment of $PYTHON (default python3) with the packages that are named; pip decides where they come from.
install_packages() {
    "${PYTHON:-python3}" -m venv "$folder/environment"
    python="$folder/environment/bin/python"
    "$python" -m pip install --quiet --disable-pip-version-check "$@" 2> "$folder/pip.log" || { cat "$folder/pip.log" >&2; exit 1; }
    cd "$folder" || exit 1
    "$python" --version
    "$python" -m pip list --disable-pip-version-check 2> /dev/null | tail -n +3
}
