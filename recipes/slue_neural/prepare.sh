#!/usr/bin/env bash
# data/slue_neural with its exact word times, from the folder in the official layout with
# word_times_*.jsonl.
#
#   recipes/slue_neural/prepare.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
data=data/slue_neural
slue-ner prepare slue-voxpopuli "$1" ${data}_official
cat "$1"/word_times_*.jsonl > ${data}_official/word_times.jsonl
slue-ner prepare word-times ${data}_official $data --from ${data}_official/word_times.jsonl
