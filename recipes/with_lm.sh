#!/usr/bin/env bash
# A cell of a grid, decoded anew with a language model: weights tuned on the emissions of tune, dev
# decoded from its own. The score goes to recipes/RECIPE/results/systems/CELL_lm.json.
#
#   recipes/with_lm.sh RECIPE CELL LM
set -euo pipefail
cd "$(dirname "$0")/.."
recipe=$1 cell=$2 lm=$3 run=runs/$1/$2 out=runs/$1/systems results=recipes/$1/results/systems
mkdir -p "$out" "$results"
[ -f "$results/${cell}_lm.json" ] && exit
dev=data/$recipe/dev.jsonl
slue-ner tune decoding "$run" --references "data/$recipe/tune.jsonl" --emissions "$run/emissions/tune" \
  --lm "$lm" --output "$out/${cell}_lm.yaml"
slue-ner predict "$run" --manifest "$dev" --emissions-from "$run/emissions/dev" \
  --decoding "$out/${cell}_lm.yaml" --output "$out/${cell}_lm.jsonl"
slue-ner score --references "$dev" --predictions "$out/${cell}_lm.jsonl" --json "$results/${cell}_lm.json" > /dev/null
