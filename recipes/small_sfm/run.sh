#!/usr/bin/env bash
# Make checkpoints/small-sfm of Whisper tiny.en's encoder, and prove what the stage of letters is
# worth: the same fine-tuning from it, from Whisper's encoder as it is, from the small conformer that
# shipped before and from random weights. About two hours on two cores; the stage and cells in
# results/ are not trained again (remove them to). SO762 and SLUE_NEURAL are folders in the official
# SLUE layout, SLUE_TEXT the one with SLUE's fine-tune TSV; WHISPER_TINY_EN is a whole model or an
# encoder, by default that of the hub; CONFORMER a conformer of recipes/small_conformer, by default the
# one that shipped, out of this repository's history.
set -euo pipefail
cd "$(dirname "$0")/../.."
so762=${SO762:?set SO762 to the folder that holds slue-voxpopuli_fine-tune.tsv}
neural=${SLUE_NEURAL:?set SLUE_NEURAL to the folder that holds slue-voxpopuli_fine-tune.tsv}
text=${SLUE_TEXT:?set SLUE_TEXT to the folder that holds slue-voxpopuli_fine-tune.tsv of all of SLUE}
tiny=${WHISPER_TINY_EN:-openai/whisper-tiny.en}
conformer=${CONFORMER:-models/small-conformer}
page=recipes/small_sfm/README.md results=recipes/small_sfm/results
slue-ner prepare slue-voxpopuli "$so762" data/so762
recipes/slue_neural/prepare.sh "$neural"
slue-ner prepare synthetic data/pretrain_words --preset words --fine-tune 12000 --tune 300 --dev 0 --test 0 --voices 3000 --seed 1
slue-ner prepare synthetic data/pretrain_slue --text "$text/slue-voxpopuli_fine-tune.tsv" --voices 3000 --seed 1
slue-ner prepare synthetic data/quickstart --preset easy --fine-tune 3600 --tune 160 --dev 200 --test 400 --voices 480 --accents 2

if [ ! -f $results/stage/metrics.json ] || [ ! -f checkpoints/small-sfm/model.safetensors ]; then
  OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 --no-python \
    slue-ner train experiment=small_sfm name=small_sfm/stage "encoder.source=$tiny"
  slue-ner export runs/small_sfm/stage checkpoints/small-sfm --half
  mkdir -p $results/stage
  cp runs/small_sfm/stage/{config.yaml,metrics.json} $results/stage/
fi

if [ ! -d "$conformer" ]; then
  mkdir -p "$conformer"
  git archive 41e2c64 checkpoints/small-sfm | tar -x --strip-components 2 -C "$conformer"
fi

# a new head would spoil what the encoder knows, so it has 60 updates to itself
same="adaptation.freeze_updates=60 data.batch_seconds=20 trainer.max_updates=400 trainer.validate_every=100 optim.warmup=0.02"
same+=" trainer.keep=all ++encoder.dropout=0 ++encoder.mask_feature_prob=0"  # masks over time are the experiment's
synthetic="experiment=quickstart trainer.devices=1 trainer.num_threads=1 trainer.precision=bf16-mixed"
encoders() { # NAME and its overrides, a line each
  echo "small_sfm encoder=small_sfm optim.lr=1e-4"
  echo "tiny_en encoder=whisper_tiny_en encoder.source=$tiny optim.lr=1e-4"
  echo "conformer encoder=checkpoint encoder.source=$conformer optim.lr=1e-3"
  echo "random encoder=small_sfm_random optim.lr=3e-4"
}
cells() { # CELL and its overrides, a line each
  local name overrides seed
  while read -r name overrides; do
    echo "quickstart_$name $synthetic $same $overrides"
    for seed in $(case $name in small_sfm | tiny_en) echo 0 1 2 ;; *) echo 0 ;; esac); do
      echo "so762_${name}_$seed experiment=so762 $same $overrides seed=$seed"
      echo "slue_neural_${name}_$seed experiment=slue_neural $same $overrides seed=$seed"
    done
  done
}
encoders | cells | OMP_NUM_THREADS=1 xargs -P 2 -L 1 recipes/cell.sh small_sfm

# after the last update: few runs find entities so soon, and F1 of tune would choose by chance
mkdir -p $results/last
for run in runs/small_sfm/*_*; do
  cell=$(basename "$run") dev=data/slue_neural/dev.jsonl seen=()
  case $cell in
    so762_*) dev=data/so762/dev.jsonl ;;
    quickstart_*) dev=data/quickstart/test.jsonl seen=(--seen data/quickstart/fine-tune.jsonl) ;;
  esac
  [ -f "$results/last/$cell.json" ] && continue
  slue-ner predict "$run" --weights last --manifest "$dev" --output "$run/predictions/last.jsonl"
  slue-ner score --references "$dev" --predictions "$run/predictions/last.jsonl" "${seen[@]}" --json "$results/last/$cell.json" > /dev/null
done
columns=run,f1,label_f1,wer,cer
for data in so762 slue_neural; do
  slue-ner compare $results/last/${data}_* --columns $columns,hardware,commit --into $page --block $data
done
slue-ner compare $results/last/quickstart_* --columns $columns,seen_f1,unseen_f1,hardware,commit --into $page --block quickstart
