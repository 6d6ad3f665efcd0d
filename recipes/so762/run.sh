#!/usr/bin/env bash
# Real speech: ways to adapt Whisper's encoder, with and without a language model, and cascades.
# SO762 is the folder with the official SLUE layout and word_times_dev.jsonl; WHISPER_BASE,
# WHISPER_TINY_EN and MINILM are whole models, by default those of the hub; SEEDS are those of the grid. A
# cell takes up to an hour of one core (two run at once); cells in results/ are not trained again.
set -euo pipefail
cd "$(dirname "$0")/../.."
source=${SO762:?set SO762 to the folder that holds slue-voxpopuli_fine-tune.tsv}
base=${WHISPER_BASE:-openai/whisper-base} tiny=${WHISPER_TINY_EN:-openai/whisper-tiny.en}
minilm=${MINILM:-sentence-transformers/all-MiniLM-L6-v2}
data=data/so762 page=recipes/so762/README.md results=recipes/so762/results
slue-ner prepare slue-voxpopuli "$source" $data
slue-ner prepare word-times $data/dev.jsonl data/so762_timed --from "$source/word_times_dev.jsonl"

cells() { # CELL and its overrides, a line each
  local in="encoder.source=$base" frozen="state_cache=disk head=conv optim.lr=5e-4"
  echo "frozen $in adaptation=frozen_weighted_sum mixing.normalize=true $frozen"
  echo "frozen_last $in adaptation=frozen_layer adaptation.layer=6 mixing=last state_cache=disk optim.lr=2e-3"
  echo "frozen_linear $in adaptation=frozen_weighted_sum mixing.normalize=true state_cache=disk"
  echo "lora $in adaptation=lora optim.lr=1e-3"
  echo "reinit $in adaptation=reinit optim.lr=2.5e-5"
  echo "full $in optim.lr=2.5e-5"
  echo "tiny_full encoder.source=$tiny optim.lr=3.75e-5"
}
for seed in ${SEEDS:-0}; do
  cells | if [ "$seed" = 0 ]; then cat; else sed "s/\([^ ]*\) \(.*\)/\1_seed$seed \2 seed=$seed/"; fi
done | OMP_NUM_THREADS=1 xargs -P 2 -L 1 recipes/cell.sh so762
recipes/cell.sh so762 asr "encoder.source=$base" optim.lr=2.5e-5 task=ctc_plain
columns=run,encoder,strategy,trainable,f1,label_f1,wer,cer,seconds,hardware,commit
slue-ner compare $results/{f,l,r,t}* --sort wer --columns $columns --into $page --block strategies

slue-ner lm train $data/fine-tune.jsonl --order 4 --output $data/tagged.ngram
for cell in full reinit tiny_full frozen frozen_linear; do recipes/with_lm.sh so762 $cell $data/tagged.ngram; done
slue-ner align runs/so762/full $data/dev.jsonl runs/so762/aligned/dev.jsonl --emissions runs/so762/full/emissions/dev
slue-ner align --compare data/so762_timed/dev.jsonl runs/so762/aligned/dev.jsonl --into $page
slue-ner train experiment=text_ner_small data.root=$data name=so762/text_small
slue-ner train experiment=text_ner_minilm "task.source=$minilm" data.root=$data name=so762/text_minilm
taggers=(small=runs/so762/text_small minilm=runs/so762/text_minilm)
if python -c 'import en_core_web_sm' 2> /dev/null; then
  taggers+=(spacy=spacy:en_core_web_sm)
else
  echo "spaCy's en_core_web_sm is not installed: the rows with it are left out"
fi
recipes/cascade.sh so762 $data/dev.jsonl whisper_base="$base" whisper_tiny_en="$tiny" asr=runs/so762/asr -- "${taggers[@]}"
slue-ner compare $results/systems/*.json --columns run,f1,label_f1,wer,hardware,commit --into $page --block systems
