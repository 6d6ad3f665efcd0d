#!/usr/bin/env bash
# Pre-train a small conformer from random weights on a CPU: letters, then letters and hidden
# clusters at once. About four hours on two cores; the encoder goes to runs/pretrain_small/encoder.
# SO762 and SLUE_TEXT are optional folders in the official SLUE layout; without them the encoder
# hears no real speech and no parliamentary sentences. Speech of recorded people joins in where the
# Debian package flite is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
more=() unlabelled=() texts=(data/conformer_words/fine-tune.jsonl)
slue-ner prepare synthetic data/conformer_words --preset words --fine-tune 16000 --tune 300 --dev 0 --test 0 --voices 3000 --seed 1
if [ -n "${SLUE_TEXT:-}" ]; then
  slue-ner prepare synthetic data/pretrain_slue --text "$SLUE_TEXT/slue-voxpopuli_fine-tune.tsv" --voices 3000 --seed 1
  more+=(data/pretrain_slue/fine-tune.jsonl)
  texts+=(data/pretrain_slue/fine-tune.jsonl)
fi
if [ -n "${SO762:-}" ]; then
  slue-ner prepare slue-voxpopuli "$SO762" data/so762
  real=data/so762/fine-tune.jsonl
  unlabelled=("$real" "$real" "$real" "$real")
fi
list() { local IFS=,; echo "[$*]"; }
two() { OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 --no-python slue-ner train "$@"; }

two experiment=pretrain_letters "data.also_train=$(list "${more[@]}")"
slue-ner export runs/pretrain_letters runs/pretrain_letters/encoder
if command -v flite > /dev/null; then
  [ -f data/flite/speech.jsonl ] || recipes/small_conformer/flite.sh data/flite 2600 "${texts[@]}"
  slue-ner prepare jsonl data/flite/speech.jsonl data/pretrain_flite --tune-share 0.01
  spoken=data/pretrain_flite/fine-tune.jsonl
  more+=("$spoken" "$spoken" "$spoken")
fi
two experiment=pretrain_small "data.also_train=$(list "${more[@]}")" "data.unlabelled=$(list "${unlabelled[@]}")"
slue-ner export runs/pretrain_small runs/pretrain_small/encoder --half
