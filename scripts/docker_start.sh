#!/usr/bin/env bash
# Starts a container with Ascend devices for training. See --help.
set -euo pipefail
# shellcheck source=scripts/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

show_help() {
    cat <<'HELP'
usage: bash scripts/docker_start.sh --image NAME [options] [-- COMMAND ...]
       bash scripts/docker_start.sh IMAGE DATA MODEL [options] [-- COMMAND ...]

Starts a container (scripts/docker/Dockerfile) with Ascend devices, their driver and this clone. The clone has the same path
inside as outside, and so have rank tables, results and logs. Without COMMAND a shell is started.

  --image NAME       the image
  --devices 0,1,...  numbers of the devices (default: every /dev/davinciN of this machine)
  --cpu              no devices (scripts/docker/Dockerfile.cpu)
  --data DIR         data folder, readable at the same path inside; may be given several times
  --result DIR       a folder outside this clone, writable at the same path inside; may be given several times
  --driver DIR       folder of the driver (default: /usr/local/Ascend/driver)
  --shm_size SIZE    shared memory (default: 8g)
  --name NAME        the container's name
  --dry_run          print the command and what is missing on this machine, without starting it
  --help

IMAGE, DATA and MODEL, as in the scripts of the ModelZoo, mean --image IMAGE --data DATA --result MODEL. MODEL may be this clone.

  bash scripts/docker_start.sh --image jasper-ascend --data /data/speech -- bash scripts/run_8p.sh

Exit status: that of COMMAND; 4 when a device or the driver is missing.
HELP
}

# Mounts the existing folder $2 at the same path; $3 is ro or rw; $1 is the option, for the message.
mount_folder() {
    [ -d "$2" ] || { complain "$1 $2: the folder does not exist"; exit 3; }
    local folder
    folder="$(cd "$2" && pwd)"
    arguments+=(--volume "$folder:$folder:$3")
}

# The numbers of all /dev/davinciN, in order, separated by commas.
devices_found() {
    local file
    for file in /dev/davinci[0-9]*; do
        if [ -e "$file" ]; then printf '%s\n' "${file#/dev/davinci}"; fi
    done | sort -n | paste -sd, -
}

# Adds the device files and the driver. If only some of them are mounted, the adapter fails late.
add_devices() {
    local number file numbers
    IFS=, read -r -a numbers <<< "$devices"
    for number in "${numbers[@]}"; do files+=("/dev/davinci$number"); done
    files+=(/dev/davinci_manager /dev/devmm_svm /dev/hisi_hdc)
    for file in "${files[@]}"; do
        if [ ! -e "$file" ]; then missing+=("$file"); fi
        arguments+=(--device "$file")
    done
    if [ ! -d "$driver" ]; then missing+=("$driver"); fi
    arguments+=(--volume "$driver:$driver:ro")
    # optional files; drivers differ in which they install
    for file in /usr/local/dcmi /usr/local/Ascend/add-ons /usr/local/bin/npu-smi /usr/local/sbin/npu-smi /etc/hccn.conf \
        /etc/ascend_install.info /etc/hdcBasic.cfg /etc/sys_version.conf /usr/local/Ascend/version.info; do
        if [ -e "$file" ]; then arguments+=(--volume "$file:$file:ro"); fi
    done
    if [ -d /var/log/npu ]; then arguments+=(--volume /var/log/npu:/var/log/npu:rw); fi
}

report_missing() {
    complain "missing on this machine: ${missing[*]}"
    complain "devices found: $(devices_found | sed 's/^$/none/'). The Ascend driver creates them (npu-smi info lists them)."
    complain "Select other devices with --devices, another driver folder with --driver, or use --cpu"
}

# The arguments of the ModelZoo's scripts: IMAGE DATA MODEL.
take_positional() {
    [ $# -gt 0 ] || return 0
    [ $# -le 3 ] || usage_error "unknown argument $4; expected at most IMAGE DATA MODEL, or options (a command goes after --)"
    [ -z "$image" ] || usage_error "unknown argument $1; --image was given, so the folders need --data and --result (a command goes after --)"
    image="$1"
    if [ $# -ge 2 ]; then data+=("$2") data_name="--data (DATA)" result_name="--result (MODEL)"; fi
    # this clone is mounted in any case
    if [ $# -eq 3 ] && ! [ "$3" -ef "$repository" ]; then results+=("$3"); fi
}

image="" devices="" cpu=no driver=/usr/local/Ascend/driver shm_size=8g name="" dry_run=no
data_name=--data result_name=--result
positional=()
data=() results=() command=() arguments=() files=() missing=()
while [ $# -gt 0 ]; do
    case "$1" in
        --image) image="$(option_value "$@")"; shift ;;
        --image=*) image="${1#*=}" ;;
        --devices) devices="$(option_value "$@")"; shift ;;
        --devices=*) devices="${1#*=}" ;;
        --data) data+=("$(option_value "$@")"); shift ;;
        --data=*) data+=("${1#*=}") ;;
        --result) results+=("$(option_value "$@")"); shift ;;
        --result=*) results+=("${1#*=}") ;;
        --driver) driver="$(option_value "$@")"; shift ;;
        --driver=*) driver="${1#*=}" ;;
        --shm_size) shm_size="$(option_value "$@")"; shift ;;
        --shm_size=*) shm_size="${1#*=}" ;;
        --name) name="$(option_value "$@")"; shift ;;
        --name=*) name="${1#*=}" ;;
        --cpu) cpu=yes ;;
        --dry_run) dry_run=yes ;;
        --help | -h) show_help; exit 0 ;;
        --) shift; command=("$@"); break ;;
        -*) usage_error "unknown option $1" ;;
        *) positional+=("$1") ;;
    esac
    shift
done
take_positional ${positional[@]+"${positional[@]}"}
driver="$(expand_home "$driver")"
for number in ${data[@]+"${!data[@]}"}; do data[number]="$(expand_home "${data[number]}")"; done
for number in ${results[@]+"${!results[@]}"}; do results[number]="$(expand_home "${results[number]}")"; done
[ -n "$image" ] || usage_error "--image is missing; docker build -t jasper-ascend -f scripts/docker/Dockerfile builds one"
if [ "$cpu" = yes ] && [ -n "$devices" ]; then usage_error "--cpu and --devices exclude each other"; fi
if [ -n "$devices" ] && ! [[ "$devices" =~ ^[0-9]+(,[0-9]+)*$ ]]; then
    usage_error "--devices $devices: expected numbers separated by commas, such as 0,1,2,3"
fi
[ "${#command[@]}" -gt 0 ] || command=(bash)

arguments=(run --rm --init --network host --ipc host --shm-size "$shm_size" --workdir "$repository")
if [ -t 0 ] && [ -t 1 ]; then arguments+=(--interactive --tty); fi
if [ -n "$name" ]; then arguments+=(--name "$name"); fi
mount_folder "this clone" "$repository" rw
for folder in ${data[@]+"${data[@]}"}; do mount_folder "$data_name" "$folder" ro; done
for folder in ${results[@]+"${results[@]}"}; do mount_folder "$result_name" "$folder" rw; done
if [ "$cpu" = no ]; then
    [ -n "$devices" ] || devices="$(devices_found)"
    if [ -z "$devices" ] && [ "$dry_run" = no ]; then
        complain "no /dev/davinciN on this machine; expected an Ascend server with its driver, or --cpu"
        exit 4
    fi
    # the command for the first device shows what is missing
    devices="${devices:-0}"
    add_devices
fi
if [ "$dry_run" = yes ]; then
    printf 'docker'
    printf ' %q' "${arguments[@]}" "$image" "${command[@]}"
    printf '\n'
    if [ "${#missing[@]}" -gt 0 ]; then report_missing; fi
    exit 0
fi
if [ "${#missing[@]}" -gt 0 ]; then report_missing; exit 4; fi
command -v docker > /dev/null || { complain "docker was not found; install it, or run run_8p.sh without a container"; exit 4; }
exec docker "${arguments[@]}" "$image" "${command[@]}"
