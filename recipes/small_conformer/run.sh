#!/usr/bin/env bash
# Pre-train the small encoder, export it, and prove that it learned. About four hours on two cores.
# SO762 and SLUE_TEXT are optional folders in the official SLUE layout; without them the encoder
# hears no real speech and no parliamentary sentences, and nothing is reported on so762. Speech of
# recorded people joins in where the Debian package flite is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
more=() unlabelled=() texts=(data/pretrain_words/fine-tune.jsonl)
slue-ner prepare synthetic data/pretrain_words --preset words --fine-tune 16000 --tune 300 --dev 0 --test 0 --voices 3000 --seed 1
slue-ner prepare synthetic data/quickstart --preset easy --fine-tune 3600 --tune 160 --dev 200 --test 400 --voices 480 --accents 2
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

two experiment=pretrain_letters "data.more=$(list "${more[@]}")"
slue-ner export runs/pretrain_letters runs/pretrain_letters/encoder
if command -v flite > /dev/null; then
  [ -f data/flite/speech.jsonl ] || recipes/small_sfm/flite.sh data/flite 2600 "${texts[@]}"
  slue-ner prepare jsonl data/flite/speech.jsonl data/pretrain_flite --tune-share 0.01
  spoken=data/pretrain_flite/fine-tune.jsonl
  more+=("$spoken" "$spoken" "$spoken")
fi
two experiment=pretrain_small "data.more=$(list "${more[@]}")" "data.unlabelled=$(list "${unlabelled[@]}")"
slue-ner export runs/pretrain_small checkpoints/small-sfm --half

# a new head would spoil what the encoder knows, so it has 60 updates to itself
full=(adaptation=full adaptation.freeze_updates=60) frozen=(adaptation=frozen_weighted_sum)
short=(data.hours=0.1667 trainer.max_updates=600)
prove() { # prove NAME [overrides]: from the shipped encoder and from random weights, one core each
  local name=$1
  shift
  for encoder in small_sfm small_sfm_random; do
    slue-ner train experiment=small_sfm "encoder=$encoder" "name=small_sfm/${name}_$encoder" "$@" &
  done
  wait
}
if [ -n "${SO762:-}" ]; then
  prove so762/full "${full[@]}"
  prove so762/frozen "${frozen[@]}"
  prove so762/full_short "${full[@]}" "${short[@]}"
  prove so762/frozen_short "${frozen[@]}" "${short[@]}"
  for seed in 1 2; do prove "so762_seeds/full_short_$seed" "${full[@]}" "${short[@]}" "seed=$seed"; done
fi
synthetic=(data=synthetic data.root=data/quickstart 'data.evaluate=[test]' optim.lr=3.0e-3 trainer.max_updates=400)
prove synthetic/full "${full[@]}" "${synthetic[@]}"
prove synthetic/frozen "${frozen[@]}" "${synthetic[@]}"
prove synthetic/full_short "${full[@]}" data.hours=0.1667 "${synthetic[@]}"
prove synthetic/frozen_short "${frozen[@]}" data.hours=0.1667 "${synthetic[@]}"

columns=encoder,strategy,data,trainable,seed,updates,f1,label_f1,wer,cer,seconds,hardware,commit,command
compare() { slue-ner compare "$@" --columns "$columns" --into recipes/small_sfm/README.md; }
compare runs/small_sfm/synthetic --block synthetic
[ -z "${SO762:-}" ] || compare runs/small_sfm/so762 --block so762
[ -z "${SO762:-}" ] || compare runs/small_sfm/so762/full_short* runs/small_sfm/so762_seeds --seeds --block seeds
