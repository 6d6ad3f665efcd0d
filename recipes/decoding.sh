#!/usr/bin/env bash
# What a language model and the grammar of entities give an end-to-end model, on the emissions that
# recipes/systems.sh saved. Every row with a language model has its weights tuned on TUNE. The table
# goes to the block `decoding` of PAGE, if one is given, else to the terminal.
#
#   recipes/decoding.sh RUNS TRAIN TUNE TEST [PAGE]
set -euo pipefail
runs=$1 train=$2 tune=$3 test=$4 page=${5:-} systems=$1/systems out=$1/decoding
run=$runs/${E2E:-e2e}
mkdir -p "$out"

tune() { # tune NAME OPTIONS...: OUT/NAME.yaml
  slue-ner tune decoding "$run" --references "$tune" --emissions "$systems/e2e.tune.emissions" \
    "${@:2}" --output "$out/$1.yaml"
}
score() { # score NAME [OPTIONS...]: the emissions of TEST, decoded as the options say
  slue-ner predict "$run" --manifest "$test" --emissions-from "$systems/e2e.test.emissions" \
    "${@:2}" --output "$out/$1.jsonl"
  slue-ner score --references "$test" --predictions "$out/$1.jsonl" --seen "$train" \
    --json "$out/$1.json" > "$out/$1.txt"
}
variant() { # variant NAME FROM KEY VALUE: OUT/FROM.yaml with one value changed
  sed "s/^$3: .*/$3: $4/" "$out/$2.yaml" > "$out/$1.yaml"
}

words=$out/tagged_4gram.ngram characters=$out/tagged_7gram_characters.ngram
slue-ner lm train "$train" --order 4 --output "$words"
slue-ner lm train "$train" --order 7 --unit characters --output "$characters"
score greedy
echo 'grammar: false' > "$out/beam_no_grammar.yaml"
echo 'grammar: true' > "$out/beam.yaml"
tune characters --character-lm "$characters"
tune words --lm "$words"
variant words_no_grammar words grammar false
variant words_and_spelling_start words unknown_score -2.0
tune words_and_spelling --decoding "$out/words_and_spelling_start.yaml" --character-lm "$characters"
for name in beam_no_grammar beam characters words_no_grammar words words_and_spelling; do
  score $name --decoding "$out/$name.yaml"
done
scored=()
for name in greedy beam_no_grammar beam characters words_no_grammar words words_and_spelling; do
  scored+=("$out/$name.json")
done
columns=run,f1,seen_f1,unseen_f1,label_f1,wer,cer,repairs
if [ -n "$page" ]; then
  slue-ner compare "${scored[@]}" --columns "$columns,hardware,commit" --into "$page" --block decoding
else
  slue-ner compare "${scored[@]}" --columns "$columns"
fi
