#!/bin/bash
# One run, or one sweep, on one TPU VM: create it, install, work, fetch the records, delete it.
#
#   launch/tpu_vm.sh --name=fpu --zone=us-central2-b --type=v4-8 -- experiments.sweep --out=records --preset=corrected
#   launch/tpu_vm.sh --dry-run --name=... --zone=... --type=... -- ...      # prints every command, starts nothing
#
# Needs gcloud, logged in, with a project set. The VM is deleted also when the work fails. Data of your own travel with
# --copy=FILE. A VM holds private data while it lives: use a project that may.
set -euo pipefail

dry='' name='' zone='' type='' copy=''
while (($#)); do
  case $1 in
    --dry-run) dry=1 ;;
    --name=*) name=${1#*=} ;;
    --zone=*) zone=${1#*=} ;;
    --type=*) type=${1#*=} ;;
    --copy=*) copy=${1#*=} ;;
    --) shift && break ;;
    *) echo "error: $1 is unknown; see the head of $0" >&2 && exit 2 ;;
  esac
  shift
done
if [[ -z $name || -z $zone || -z $type || $# -eq 0 ]]; then
  echo "error: --name, --zone, --type and, after --, what to run are needed; see the head of $0" >&2
  exit 2
fi

run() {
  if [[ -n $dry ]]; then
    printf '%q ' "$@"
    printf '\n'
  else
    "$@"
  fi
}
tpu() { run gcloud compute tpus tpu-vm "$1" "${@:2}" --zone="$zone"; }

tpu create "$name" --accelerator-type="$type" --version=tpu-ubuntu2204-base
trap 'tpu delete "$name" --quiet' EXIT
run tar --exclude=./runs --exclude=./.venv --exclude=./.git -czf /tmp/fpu.tar.gz .
tpu scp /tmp/fpu.tar.gz "$name:"
if [[ -n $copy ]]; then tpu scp "$copy" "$name:"; fi
work="mkdir -p fpu && cd fpu && tar xzf ../fpu.tar.gz && pip install -q uv && uv run --extra tpu python -m $*"
tpu ssh "$name" --command="$work"
tpu scp --recurse "$name:fpu/records" .
