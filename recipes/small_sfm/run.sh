#!/usr/bin/env bash
# Pre-train the small encoder, export it, and prove that it learned. About three hours on two cores.
# SO762 and SLUE_TEXT are optional folders in the official SLUE layout; without them the encoder
# hears no real speech and no parliamentary sentences, and nothing is reported on so762.
set -euo pipefail
cd "$(dirname "$0")/../.."
more=() unlabelled=()
slue-ner prepare synthetic data/pretrain_words --preset words --fine-tune 16000 --tune 300 --dev 0 --test 0 --voices 3000 --seed 1
slue-ner prepare synthetic data/quickstart --preset easy --fine-tune 3600 --tune 160 --dev 200 --test 400 --voices 480 --accents 2
if [ -n "${SLUE_TEXT:-}" ]; then
  slue-ner prepare synthetic data/pretrain_slue --text "$SLUE_TEXT/slue-voxpopuli_fine-tune.tsv" --voices 3000 --seed 1
  more=(data/pretrain_slue/fine-tune.jsonl)
fi
if [ -n "${SO762:-}" ]; then
  slue-ner prepare slue-voxpopuli "$SO762" data/so762
  unlabelled=(data/so762/fine-tune.jsonl)
fi
list() { local IFS=,; echo "[$*]"; }
two() { OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 --no-python slue-ner train "$@"; }

two experiment=pretrain_letters "data.more=$(list "${more[@]}")"
slue-ner export runs/pretrain_letters runs/pretrain_letters/encoder
two experiment=pretrain_small "data.more=$(list "${more[@]}")" "data.unlabelled=$(list "${unlabelled[@]}")"
slue-ner export runs/pretrain_small checkpoints/small-sfm --half

prove() { slue-ner train -m experiment=small_sfm encoder=small_sfm,small_sfm_random "$@"; }
grid=(adaptation=full,frozen_weighted_sum data.hours=0.1667,null)
prove name=small_sfm/synthetic data=synthetic data.root=data/quickstart 'data.evaluate=[test]' "${grid[@]}" &
if [ -n "${SO762:-}" ]; then
  prove name=small_sfm/so762 "${grid[@]}"
  prove name=small_sfm/so762_seeds adaptation=full seed=1,2
fi
wait
columns=encoder,strategy,data,trainable,seed,updates,f1,label_f1,wer,seconds,hardware,commit,command
for data in synthetic so762; do
  [ ! -d runs/small_sfm/$data ] || slue-ner compare runs/small_sfm/$data --columns "$columns" --into recipes/small_sfm/README.md --block "$data"
done
[ ! -d runs/small_sfm/so762_seeds ] || slue-ner compare runs/small_sfm/so762 runs/small_sfm/so762_seeds --seeds --columns "$columns" --into recipes/small_sfm/README.md --block seeds
