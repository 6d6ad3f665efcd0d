#!/usr/bin/env bash
# What finds entities, and what says when, side by side: end to end, cascade, the cascade on gold
# text (with gold word times where there are any), and frame heads; with and without a language
# model; times from CTC, from forced alignment, from frames. Emissions, language models, predictions
# and scores go to RUNS/systems, the table to the block `systems` of PAGE, if one is given, else to
# the terminal.
#
#   recipes/systems.sh RUNS TRAIN TUNE TEST [PAGE]
#
# RUNS holds finished runs: e2e (ctc_tagged; E2E may name another), asr (ctc_plain), text_ner and
# frames. TRAIN, TUNE and TEST are manifests; language models are trained on the text of TRAIN.
set -euo pipefail
runs=$1 train=$2 tune=$3 test=$4 page=${5:-} out=$1/systems
mkdir -p "$out"

score() { # score NAME: the predictions OUT/NAME.jsonl
  slue-ner score --references "$test" --predictions "$out/$1.jsonl" --json "$out/$1.json" > "$out/$1.txt"
}
predict() { # predict NAME RUN: what the model emits, and what is read from it
  local split
  for split in tune test; do
    slue-ner predict "$2" --manifest "${!split}" --output "$out/$1.$split.jsonl" \
      --emissions "$out/$1.$split.emissions"
  done
}
decode() { # decode NAME RUN EMITTED LM: the same emissions with a language model, weights tuned
  local split
  slue-ner tune decoding "$2" --references "$tune" --emissions "$out/$3.tune.emissions" \
    --lm "$4" --output "$out/$1.decoding.yaml"
  for split in tune test; do
    slue-ner predict "$2" --manifest "${!split}" --emissions-from "$out/$3.$split.emissions" \
      --decoding "$out/$1.decoding.yaml" --output "$out/$1.$split.jsonl"
  done
}
find_in_text() { # find_in_text FROM NAME: entities in the words of FROM
  local split
  for split in tune test; do
    slue-ner predict "$out/$1.$split.jsonl" --text-ner "$runs/text_ner" \
      --manifest "${!split}" --output "$out/$2.$split.jsonl"
  done
}
align() { # align FROM NAME RUN EMITTED: the words and entities of FROM, times from forced alignment
  local split
  for split in tune test; do
    slue-ner align "$3" "${!split}" "$out/$2.$split.jsonl" --predictions "$out/$1.$split.jsonl" \
      --emissions "$out/$4.$split.emissions"
  done
}
localize() { # localize NAME: times by the rule that is best on TUNE, scored on TEST
  slue-ner tune localizer --references "$tune" --predictions "$out/$1.tune.jsonl" \
    --output "$out/$1.yaml"
  slue-ner localize "$out/$1.test.jsonl" --with "$out/$1.yaml" --output "$out/$1.jsonl"
  score "$1"
}

e2e=$runs/${E2E:-e2e} asr=$runs/asr
slue-ner lm train "$train" --order 4 --output "$out/tagged.ngram"
slue-ner lm train "$train" --order 3 --target plain --output "$out/plain.ngram"
predict e2e "$e2e"
align e2e e2e_aligned "$e2e" e2e
decode e2e_lm "$e2e" e2e "$out/tagged.ngram"
predict asr "$asr"
find_in_text asr cascade
align cascade cascade_aligned "$asr" asr
decode asr_lm "$asr" asr "$out/plain.ngram"
find_in_text asr_lm cascade_lm
names=(e2e e2e_aligned e2e_lm cascade cascade_aligned cascade_lm)
for name in "${names[@]}"; do localize "$name"; done
slue-ner predict "$runs/text_ner" --manifest "$test" --output "$out/topline.jsonl"
score topline
slue-ner predict "$runs/frames" --manifest "$test" --output "$out/frames.jsonl"
score frames
scored=()
for name in "${names[@]}" topline frames; do scored+=("$out/$name.json"); done
columns=run,f1,label_f1,wer,nel_frame_f1,nel_frame_corrected_f1,nel_word_f1,nel_word_corrected_f1
if [ -n "$page" ]; then
  slue-ner compare "${scored[@]}" --columns "$columns,hardware,commit" --into "$page" --block systems
else
  slue-ner compare "${scored[@]}" --columns "$columns"
fi
