#!/usr/bin/env bash
# A tagger that hears people: the shipped encoder, fine-tuned on all labelled speech at hand, a
# language model behind it. The run is runs/demo: words and entities of any manifest by
#
#   slue-ner predict runs/demo --manifest MANIFEST --output FILE --decoding runs/demo/decoding.yaml
#
# DATA are folders that `slue-ner prepare` wrote, the one whose tune set chooses checkpoint and
# weights first. Without it: so762, slue_neural and SLUE's fine-tune text (spoken by the synthesiser)
# in SO762, SLUE_NEURAL and SLUE_TEXT, by default where they lie beside the checkout. Under an hour on
# two cores. The table of what is found on the dev set of each goes to PAGE, if one is given.
#
#   recipes/demo/run.sh [PAGE]
set -euo pipefail
page=${1:+$(realpath "$1")}
cd "$(dirname "$0")/../.."
run=runs/demo shared=../shared
read -r -a data <<< "${DATA:-}"
if [ ${#data[@]} = 0 ]; then
  so762=${SO762:-$shared/speech/so762} neural=${SLUE_NEURAL:-$shared/speech/slue_neural}
  text=${SLUE_TEXT:-$shared/text/slue-voxpopuli}
  tsv=slue-voxpopuli_fine-tune.tsv
  if [ -f "$so762/$tsv" ]; then
    slue-ner prepare slue-voxpopuli "$so762" data/so762
    data+=(data/so762)
  fi
  if [ -f "$neural/$tsv" ]; then
    slue-ner prepare slue-voxpopuli "$neural" data/slue_neural_official
    cat "$neural"/word_times_*.jsonl > data/slue_neural_official/word_times.jsonl
    slue-ner prepare word-times data/slue_neural_official data/slue_neural --from data/slue_neural_official/word_times.jsonl
    data+=(data/slue_neural)
  fi
  if [ ${#data[@]} -gt 0 ] && [ -f "$text/$tsv" ]; then
    slue-ner prepare text data/demo_text --from "$text/$tsv" --tune-share 0 --leave-out "${data[@]/%//tune.jsonl}" "${data[@]/%//dev.jsonl}"
    slue-ner prepare synthetic data/demo_spoken --text data/demo_text/fine-tune.jsonl --tune-share 0 --voices 3000 --seed 2
    spoken=data/demo_spoken/fine-tune.jsonl
  fi
fi
if [ ${#data[@]} = 0 ]; then
  echo "no labelled speech beside this checkout: set DATA to folders that 'slue-ner prepare' wrote, as in 'make demo DATA=data/mine'" >&2
  exit 1
fi

# real speech is short of labels: three times as often as the synthesiser's
own=("${data[@]/%//fine-tune.jsonl}")
more=("${own[@]:1}" "${own[@]}" "${own[@]}" ${spoken:+"$spoken"})
list() { local IFS=,; echo "[$*]"; }
OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 --no-python \
  slue-ner train experiment=demo "data.root=${data[0]}" "data.more=$(list "${more[@]}")"

slue-ner lm train "${own[@]}" ${spoken:+"$spoken"} --order 4 --output $run/tagged.ngram
slue-ner predict $run --manifest "${data[0]}/tune.jsonl" --output $run/tune.jsonl --emissions $run/emissions/tune
slue-ner tune decoding $run --references "${data[0]}/tune.jsonl" --emissions $run/emissions/tune \
  --lm $run/tagged.ngram --output $run/decoding.yaml
scores=()
for folder in "${data[@]}"; do
  name=$(basename "$folder") dev=$folder/dev.jsonl
  slue-ner predict $run --manifest "$dev" --output "$run/$name.jsonl" --emissions "$run/emissions/$name"
  slue-ner score --references "$dev" --predictions "$run/$name.jsonl" --json "$run/$name.json"
  slue-ner predict $run --manifest "$dev" --emissions-from "$run/emissions/$name" --decoding $run/decoding.yaml --output "$run/${name}_lm.jsonl"
  slue-ner score --references "$dev" --predictions "$run/${name}_lm.jsonl" --json "$run/${name}_lm.json"
  scores+=("$run/$name.json" "$run/${name}_lm.json")
done
slue-ner compare "${scores[@]}" --columns run,f1,label_f1,wer,nel_frame_f1,nel_word_f1,hardware,commit ${page:+--into "$page" --block demo}
