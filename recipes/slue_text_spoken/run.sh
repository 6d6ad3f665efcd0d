#!/usr/bin/env bash
# SLUE-VoxPopuli's own sentences and entities, spoken by the synthesiser: end to end against cascade
# on dev. SLUE_TEXT is the folder with the official fine-tune and dev TSV files. Trains on a fixed
# subset of three hours, on two cores in about an hour; arguments change every training, such as
# data.hours=null trainer.max_updates=10000 trainer.accelerator=gpu for all twelve hours.
set -euo pipefail
cd "$(dirname "$0")/../.."
text=${SLUE_TEXT:?set SLUE_TEXT to the folder that holds slue-voxpopuli_fine-tune.tsv}
data=data/slue_spoken runs=runs/slue_text_spoken
slue-ner prepare synthetic $data --text "$text"/slue-voxpopuli_{fine-tune,dev}.tsv --voices 600
more=("$@")
train() { slue-ner train experiment=slue_text_spoken "name=slue_text_spoken/$1" "${@:2}" "${more[@]}"; }

train e2e &
train asr task=ctc_plain
wait
train frames task=frames_joint trainer.max_updates=500 &
slue-ner train experiment=text_ner_small data.root=$data name=slue_text_spoken/text_ner  # text is cheap: all of it
wait
slue-ner align $runs/asr $data/dev.jsonl $runs/aligned/dev.jsonl
slue-ner align --compare $data/dev.jsonl $runs/aligned/dev.jsonl --into recipes/slue_text_spoken/README.md
page=recipes/slue_text_spoken/README.md
recipes/systems.sh $runs $data/{fine-tune,tune,dev}.jsonl $page
# 150 sentences are enough to choose a few weights on, and searching with a character model is slow
head -n 150 $data/tune.jsonl > $data/tune_150.jsonl
recipes/decoding.sh $runs $data/{fine-tune,tune_150,dev}.jsonl $page
