#!/usr/bin/env bash
# Make checkpoints/small-sfm of Whisper tiny.en's encoder, and prove what the stage of letters is
# worth: the same fine-tuning from it, from Whisper's encoder as it is, from the small conformer that
# shipped before (where recipes/small_conformer has made one) and from random weights. About three
# hours on two cores; cells in results/ are not trained again. SO762 and SLUE_NEURAL are folders in the
# official SLUE layout, SLUE_TEXT the one with SLUE's fine-tune TSV; WHISPER_TINY_EN is a whole model or
# an encoder, by default that of the hub.
set -euo pipefail
cd "$(dirname "$0")/../.."
so762=${SO762:?set SO762 to the folder that holds slue-voxpopuli_fine-tune.tsv}
neural=${SLUE_NEURAL:?set SLUE_NEURAL to the folder that holds slue-voxpopuli_fine-tune.tsv}
text=${SLUE_TEXT:?set SLUE_TEXT to the folder that holds slue-voxpopuli_fine-tune.tsv of all of SLUE}
tiny=${WHISPER_TINY_EN:-openai/whisper-tiny.en}
conformer=${CONFORMER:-runs/pretrain_small/encoder}
page=recipes/small_sfm/README.md results=recipes/small_sfm/results
slue-ner prepare slue-voxpopuli "$so762" data/so762
slue-ner prepare slue-voxpopuli "$neural" data/slue_neural_official
cat "$neural"/word_times_*.jsonl > data/slue_neural_official/word_times.jsonl
slue-ner prepare word-times data/slue_neural_official data/slue_neural --from data/slue_neural_official/word_times.jsonl
slue-ner prepare synthetic data/pretrain_words --preset words --fine-tune 12000 --tune 300 --dev 0 --test 0 --voices 3000 --seed 1
slue-ner prepare synthetic data/pretrain_slue --text "$text/slue-voxpopuli_fine-tune.tsv" --voices 3000 --seed 1
slue-ner prepare synthetic data/quickstart --preset easy --fine-tune 3600 --tune 160 --dev 200 --test 400 --voices 480 --accents 2

if [ ! -f $results/stage/metrics.json ]; then
  OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 --no-python \
    slue-ner train experiment=small_sfm name=small_sfm/stage "encoder.source=$tiny"
  slue-ner export runs/small_sfm/stage checkpoints/small-sfm --half
  mkdir -p $results/stage
  cp runs/small_sfm/stage/{config.yaml,metrics.json} $results/stage/
fi

# a new head would spoil what the encoder knows, so it has 60 updates to itself
same="adaptation.freeze_updates=60 data.batch_seconds=20 trainer.max_updates=400 trainer.validate_every=100 optim.warmup=0.02"
synthetic="experiment=quickstart trainer.devices=1 trainer.num_threads=1 trainer.precision=bf16-mixed"
encoders() { # NAME and its overrides, a line each
  echo "small_sfm encoder=small_sfm optim.lr=1e-4"
  echo "tiny_en encoder=whisper_tiny_en encoder.source=$tiny optim.lr=1e-4"
  [ ! -d "$conformer" ] || echo "conformer encoder=checkpoint encoder.source=$conformer optim.lr=1e-3"
  echo "random encoder=small_sfm_random optim.lr=3e-4"
}
cells() { # CELL and its overrides, a line each
  local name overrides seed
  while read -r name overrides; do
    echo "quickstart_$name $synthetic $same $overrides"
    for seed in 0 1 2; do
      echo "so762_${name}_$seed experiment=so762 $same $overrides seed=$seed"
      echo "slue_neural_${name}_$seed experiment=slue_neural $same $overrides seed=$seed"
    done
  done
}
encoders | cells | OMP_NUM_THREADS=1 xargs -P 2 -L 1 recipes/cell.sh small_sfm
columns=encoder,strategy,seed,updates,f1,label_f1,wer,cer,seconds,hardware,commit
slue-ner compare $results/so762_* --seeds --sort wer --columns $columns --into $page --block so762
slue-ner compare $results/slue_neural_* --seeds --sort wer --columns $columns,nel_frame_f1 --into $page --block slue_neural
slue-ner compare $results/quickstart_* --sort wer --columns $columns,seen_f1,unseen_f1 --into $page --block quickstart
