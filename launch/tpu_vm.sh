#!/bin/bash
# A sweep on one TPU VM, or one run on all hosts of a slice: create it, install, work, fetch what was made, delete it.
#
#   launch/tpu_vm.sh --name=fpu --zone=us-central2-b --type=v4-8 -- experiments.sweep --out=records --preset=corrected
#   launch/tpu_vm.sh --name=fpu --zone=us-central2-b --type=v4-32 -- experiments.run --model=ddpm --eps=10 --set=model.size=paper
#   launch/tpu_vm.sh --dry-run --name=... --zone=... --type=... -- ...      # prints every command, starts nothing
#
# Needs gcloud, logged in, with a project set. A run is fetched as runs/, a sweep as its --out (unless that is a bucket).
# What was made is fetched, and the VM deleted, also when the work fails; where nothing can be fetched it is kept.
# --copy=FILE takes data of your own along, as ../FILE there. The VM holds private data: use a project that may.
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

module=$1 hosts=0 made=records
if [[ $module == experiments.run ]]; then hosts=all made=runs; fi # its processes find each other; a sweep is one process
for word in "$@"; do
  case $word in
    --out | --out=/* | --workdir*)
      echo "error: $word: what is made there is not fetched; write --out=FOLDER or --out=gs://..., and no --workdir" >&2
      exit 2
      ;;
    --out=*) made=${word#*=} ;;
  esac
done
finish() {
  if [[ $made != *://* ]] && ! tpu scp --recurse --worker=0 "$name:fpu/$made" .; then
    echo "error: $made could not be fetched, so $name is kept, and costs: fetch it, or delete the VM" >&2
    return
  fi
  tpu delete "$name" --quiet
}

tpu create "$name" --accelerator-type="$type" --version=tpu-ubuntu2204-base
trap finish EXIT
run tar --exclude=./runs --exclude=./.venv --exclude=./.git -czf /tmp/fpu.tar.gz .
tpu scp --worker="$hosts" /tmp/fpu.tar.gz "$name:"
if [[ -n $copy ]]; then tpu scp --worker="$hosts" "$copy" "$name:"; fi
printf -v words '%q ' "$@"
work="mkdir -p fpu && cd fpu && tar xzf ../fpu.tar.gz && python3 -m pip install -q uv && python3 -m uv run --extra tpu python -m $words"
tpu ssh "$name" --worker="$hosts" --command="$work"
