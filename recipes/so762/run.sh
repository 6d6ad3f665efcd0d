#!/usr/bin/env bash
# NER and localization on real speech: end to end, cascade, frame heads. SO762 is the folder with the
# official SLUE layout and word_times_dev.jsonl. About an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/../.."
source=${SO762:?set SO762 to the folder that holds slue-voxpopuli_fine-tune.tsv}
data=data/so762 timed=data/so762_timed
slue-ner prepare slue-voxpopuli "$source" $data
train() { slue-ner train experiment=small_sfm adaptation.freeze_updates=60 "name=$1" "${@:2}"; }

e2e=small_sfm/so762/full_small_sfm  # recipes/small_sfm trains it too
train $e2e encoder=small_sfm &
train so762/asr task=ctc_plain
wait
# dev has word times of another aligner; those that frame heads learn from are made by ours. The
# offset is by how much this encoder is late on the tune set of the synthetic corpus, which knows.
mkdir -p $timed
for split in fine-tune tune; do
  slue-ner align runs/so762/asr $data/$split.jsonl $timed/$split.jsonl --offset -0.18
done
slue-ner prepare word-times $data/dev.jsonl $timed --from "$source/word_times_dev.jsonl"
slue-ner align runs/so762/asr $data/dev.jsonl $timed/aligned/dev.jsonl --offset -0.18
slue-ner align --compare $timed/dev.jsonl $timed/aligned/dev.jsonl --into recipes/so762/README.md
train so762/frames task=frames_joint data.root=$timed &
slue-ner train experiment=text_ner_small data.root=$data name=so762/text_ner
wait
E2E=../$e2e HALVES=1 recipes/systems.sh runs/so762 $data/fine-tune.jsonl $data/tune.jsonl \
  $timed/dev.jsonl recipes/so762/README.md
