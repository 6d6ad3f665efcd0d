#!/usr/bin/env bash
# Cascades: every recogniser with every text NER, and every text NER on what was really said (the
# topline; with word times the oracle of localization). Words and predictions stay in
# runs/RECIPE/systems, scores go to recipes/RECIPE/results/systems; what is there is not made again.
#
#   recipes/cascade.sh RECIPE DEV RECOGNISER=SOURCE ... -- TAGGER=SOURCE ...
#
# SOURCE of a recogniser: a run, or a CTC or Whisper checkpoint; of a tagger: a text NER run, a
# token classifier, or spacy:NAME.
set -euo pipefail
cd "$(dirname "$0")/.."
recipe=$1 dev=$2
shift 2
runs=runs/$recipe/systems results=recipes/$recipe/results/systems
mkdir -p "$runs" "$results"
recognisers=() taggers=()
while [ "$1" != -- ]; do recognisers+=("$1") && shift; done
shift
taggers=("$@")

score() { # score NAME: the predictions RUNS/NAME.jsonl
  slue-ner score --references "$dev" --predictions "$runs/$1.jsonl" --json "$results/$1.json" > /dev/null
}
for recogniser in "${recognisers[@]}"; do
  name=${recogniser%%=*}
  [ -f "$runs/$name.jsonl" ] || slue-ner predict "${recogniser#*=}" --manifest "$dev" --output "$runs/$name.jsonl"
  [ -f "$results/$name.json" ] || score "$name"
done
for tagger in "${taggers[@]}"; do
  for recogniser in "${recognisers[@]}"; do
    name=${recogniser%%=*}_${tagger%%=*}
    [ -f "$results/$name.json" ] && continue
    slue-ner predict "$runs/${recogniser%%=*}.jsonl" --text-ner "${tagger#*=}" --manifest "$dev" --output "$runs/$name.jsonl"
    score "$name"
  done
  name=topline_${tagger%%=*}
  [ -f "$results/$name.json" ] && continue
  slue-ner predict "${tagger#*=}" --manifest "$dev" --output "$runs/$name.jsonl"
  score "$name"
done
