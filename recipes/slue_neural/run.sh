#!/usr/bin/env bash
# SLUE's own sentences and entities in neural voices: end to end with Whisper's encoder, cascades,
# and when entities were spoken, against exact times. SLUE_NEURAL is the folder in the official
# layout with word_times_*.jsonl, SLUE_TEXT the one with SLUE's fine-tune TSV, whose text language
# models and text NER read, less what is tuned and scored on. WHISPER_BASE, WHISPER_TINY_EN and
# MINILM are whole models, by default those of the hub. A cell takes up to an hour of one core (two
# run at once); cells in results/ are not trained again.
set -euo pipefail
cd "$(dirname "$0")/../.."
source=${SLUE_NEURAL:?set SLUE_NEURAL to the folder that holds slue-voxpopuli_fine-tune.tsv}
text=${SLUE_TEXT:?set SLUE_TEXT to the folder that holds slue-voxpopuli_fine-tune.tsv of all of SLUE}
base=${WHISPER_BASE:-openai/whisper-base} tiny=${WHISPER_TINY_EN:-openai/whisper-tiny.en}
minilm=${MINILM:-sentence-transformers/all-MiniLM-L6-v2}
data=data/slue_neural page=recipes/slue_neural/README.md results=recipes/slue_neural/results
runs=runs/slue_neural systems=$results/systems
recipes/slue_neural/prepare.sh "$source"
slue-ner prepare text data/slue_text --from "$text/slue-voxpopuli_fine-tune.tsv" \
  --leave-out $data/tune.jsonl $data/dev.jsonl

OMP_NUM_THREADS=1 xargs -P 2 -L 1 recipes/cell.sh slue_neural << CELLS
full encoder.source=$base optim.lr=2.5e-5
frozen encoder.source=$base adaptation=frozen_weighted_sum mixing.normalize=true state_cache=disk head=conv optim.lr=5e-4
tiny_full encoder.source=$tiny optim.lr=3.75e-5
asr encoder.source=$base optim.lr=2.5e-5 task=ctc_plain
CELLS
columns=run,encoder,strategy,trainable,f1,label_f1,wer,cer,nel_frame_f1,seconds,hardware,commit
slue-ner compare $results/{f,t}* --sort wer --columns $columns --into $page --block cells

slue-ner lm train data/slue_text/fine-tune.jsonl --order 4 --output data/slue_text/tagged.ngram
for cell in full frozen tiny_full; do recipes/with_lm.sh slue_neural $cell data/slue_text/tagged.ngram; done
slue-ner train experiment=text_ner_small data.root=data/slue_text 'data.evaluate=[]' name=slue_neural/text_small
slue-ner train experiment=text_ner_minilm "task.source=$minilm" data.root=data/slue_text 'data.evaluate=[]' name=slue_neural/text_minilm
recipes/cascade.sh slue_neural $data/dev.jsonl whisper_base="$base" whisper_tiny_en="$tiny" asr=$runs/asr -- \
  small=$runs/text_small minilm=$runs/text_minilm
if [ ! -f $systems/full_aligned.json ]; then
  slue-ner align $runs/full $data/dev.jsonl $runs/systems/full_aligned.jsonl \
    --predictions $runs/full/predictions/dev.jsonl --emissions $runs/full/emissions/dev
  slue-ner score --references $data/dev.jsonl --predictions $runs/systems/full_aligned.jsonl --json $systems/full_aligned.json > /dev/null
fi
if [ ! -f $systems/tiny_full_apart.json ]; then
  slue-ner predict $runs/tiny_full --manifest $data/dev.jsonl --emissions-from $runs/tiny_full/emissions/dev \
    --marks-apart --output $runs/systems/tiny_full_apart.jsonl
  slue-ner score --references $data/dev.jsonl --predictions $runs/systems/tiny_full_apart.jsonl --json $systems/tiny_full_apart.json > /dev/null
fi
columns=run,f1,label_f1,wer,nel_frame_f1,nel_frame_corrected_f1,nel_word_f1,nel_word_corrected_f1,hardware,commit
slue-ner compare $systems/*.json --columns $columns --into $page --block systems
