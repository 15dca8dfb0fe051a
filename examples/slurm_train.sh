#!/bin/bash
# Trains on several nodes, and goes on after a node fails or the time is up.
#
#   sbatch examples/slurm_train.sh examples/digits_mlp.pjn --data digits --rate 3e-3 --epochs 60 --seed 0
#
# JAX finds out from Slurm how many processes there are and where the first one listens. The first process writes
# runs/MODEL.params.safetensors, which must be on a disk that a restarted job sees; data is read by all.

#SBATCH --job-name=pjc
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --time=04:00:00
# With GPUs, one process for each: --ntasks-per-node=4 --gpus-per-node=4
# Two minutes before the time is up, training stops and leaves a checkpoint:
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

if [[ $# -lt 3 ]]; then
  echo "usage: sbatch $0 MODEL.pjn --data SOURCE [options of pjc train]" >&2
  exit 2
fi

name=$(basename "${1%.*}")
resume=()
if [[ -f runs/$name.params.safetensors && ${SLURM_RESTART_COUNT:-0} -gt 0 ]]; then
  resume=(--resume)
fi

srun --kill-on-bad-exit=1 pjc train "$@" -o "runs/$name" --distributed "${resume[@]}"
code=$?

# A node that failed, or the time: the job is put in the queue again, but not for ever.
if [[ $code -ne 0 && $code -ne 2 && -f runs/$name.params.safetensors && ${SLURM_RESTART_COUNT:-0} -lt 20 ]]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
