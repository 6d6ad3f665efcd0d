#!/usr/bin/env bash
# One cell of a grid: train, keep what the model emits on tune and dev, and put config and metrics
# into the recipe's results. A cell whose metrics are there is done and is not trained again.
#
#   recipes/cell.sh RECIPE CELL [overrides]
#
# RECIPE is a folder beside this script, and the experiment where no override names one.
set -euo pipefail
cd "$(dirname "$0")/.."
recipe=$1 cell=$2 run=runs/$1/$2 results=recipes/$1/results/$2
shift 2
if [ -f "$results/metrics.json" ]; then
  echo "$recipe/$cell is done"
  exit
fi
[[ " $*" == *" experiment="* ]] || set -- "experiment=$recipe" "$@"
slue-ner train "name=$recipe/$cell" "$@"
root=$(sed -n '/^data:/,/^[^ ]/ s/^  root: //p' "$run/config.yaml")
for split in tune dev; do
  slue-ner predict "$run" --manifest "$root/$split.jsonl" \
    --output "$run/predictions/$split.jsonl" --emissions "$run/emissions/$split"
done
mkdir -p "$results"
cp "$run/config.yaml" "$results/"
cp "$run/metrics.json" "$results/metrics.json.new"
mv "$results/metrics.json.new" "$results/metrics.json"
