#!/usr/bin/env bash
# A tagger that hears people: the shipped encoder, fine-tuned on all labelled speech at hand, a
# language model behind it. The run is runs/NAME (default: demo); it finds words and entities by
#
#   slue-ner predict runs/demo --manifest MANIFEST --output FILE --decoding runs/demo/decoding.yaml
#
# DATA are folders that `slue-ner prepare` wrote, without spaces in their names, the one whose tune set
# chooses checkpoint and weights first. Without it: so762, slue_neural and SLUE's fine-tune text
# (spoken by the synthesiser) in SO762, SLUE_NEURAL and SLUE_TEXT, by default where they lie beside the
# checkout. Under an hour on two cores. What is found on the dev set of each goes to the block `demo`
# of PAGE, if one is given, else to the terminal.
#
#   recipes/demo/run.sh [PAGE]
set -euo pipefail
page=${1:+$(realpath "$1")}
cd "$(dirname "$0")/../.."
run=runs/${NAME:-demo} shared=../shared tsv=slue-voxpopuli_fine-tune.tsv spoken=
stop() { echo "demo: $1" >&2 && exit 1; }
at() { # at VARIABLE DEFAULT: the folder with SLUE's files that VARIABLE names, or DEFAULT if it is one
  if [ -f "${!1:-$2}/$tsv" ]; then
    echo "${!1:-$2}"
  elif [ -n "${!1:-}" ]; then
    stop "$1=${!1} holds no $tsv"
  fi
}
read -r -a data <<< "${DATA:-}"
if [ ${#data[@]} = 0 ]; then
  so762=$(at SO762 $shared/speech/so762)
  neural=$(at SLUE_NEURAL $shared/speech/slue_neural)
  text=$(at SLUE_TEXT $shared/text/slue-voxpopuli)
  if [ -n "$so762" ]; then
    slue-ner prepare slue-voxpopuli "$so762" data/so762
    data+=(data/so762)
  fi
  if [ -n "$neural" ]; then
    recipes/slue_neural/prepare.sh "$neural"
    data+=(data/slue_neural)
  fi
  [ ${#data[@]} -gt 0 ] ||
    stop "no labelled speech beside this checkout; give folders that 'slue-ner prepare' wrote, as in 'make demo DATA=data/mine'"
  if [ -n "$text" ]; then
    slue-ner prepare text data/demo_text --from "$text/$tsv" --tune-share 0 --leave-out "${data[@]/%//tune.jsonl}" "${data[@]/%//dev.jsonl}"
    slue-ner prepare synthetic data/demo_spoken --text data/demo_text/fine-tune.jsonl --tune-share 0 --voices 3000 --seed 2
    spoken=data/demo_spoken/fine-tune.jsonl
  fi
else
  for folder in "${data[@]}"; do
    [ -f "$folder/fine-tune.jsonl" ] || stop "$folder has no fine-tune.jsonl; 'slue-ner prepare' writes such folders"
  done
  [ -f "${data[0]}/tune.jsonl" ] || stop "${data[0]}, the first folder, has no tune.jsonl to choose a checkpoint by"
fi

# real speech is short of labels: three times as often as the synthesiser's
own=("${data[@]/%//fine-tune.jsonl}")
more=("${own[@]:1}" "${own[@]}" "${own[@]}" ${spoken:+"$spoken"})
list() { local IFS=,; echo "[$*]"; }
OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 --no-python \
  slue-ner train experiment=demo "name=${NAME:-demo}" "data.root=${data[0]}" "data.also_train=$(list "${more[@]}")"

slue-ner lm train "${own[@]}" ${spoken:+"$spoken"} --order 4 --output "$run/tagged.ngram"
slue-ner predict "$run" --manifest "${data[0]}/tune.jsonl" --output "$run/dev/tune.jsonl" --emissions "$run/emissions/tune"
slue-ner tune decoding "$run" --references "${data[0]}/tune.jsonl" --emissions "$run/emissions/tune" \
  --lm "$run/tagged.ngram" --output "$run/decoding.yaml"
for folder in "${data[@]:1}"; do # when things were said is learned where word times are known
  if grep -qs -m 1 '"words": \[{' "$folder/tune.jsonl"; then
    slue-ner predict "$run" --manifest "$folder/tune.jsonl" --output "$run/dev/timed_tune.jsonl"
    slue-ner tune localizer --references "$folder/tune.jsonl" --predictions "$run/dev/timed_tune.jsonl" --output "$run/localizer.yaml"
    break
  fi
done
scores=()
for folder in "${data[@]}"; do
  dev=$folder/dev.jsonl out=$run/dev/${folder//\//_}
  if [ ! -f "$dev" ] && [ -n "${DATA:-}" ]; then
    echo "$folder has no dev.jsonl and is not scored"
    continue
  fi
  slue-ner predict "$run" --manifest "$dev" --output "$out.jsonl" --emissions "$out.emissions"
  slue-ner score --references "$dev" --predictions "$out.jsonl" --json "$out.json"
  slue-ner predict "$run" --manifest "$dev" --emissions-from "$out.emissions" --decoding "$run/decoding.yaml" --output "${out}_lm.jsonl"
  slue-ner score --references "$dev" --predictions "${out}_lm.jsonl" --json "${out}_lm.json"
  scores+=("$out.json" "${out}_lm.json")
done
[ ${#scores[@]} = 0 ] ||
  slue-ner compare "${scores[@]}" --columns run,f1,label_f1,wer,nel_frame_f1,nel_word_f1,hardware,commit ${page:+--into "$page" --block demo}
