#!/usr/bin/env bash
# Speak the transcripts of manifests with flite (Debian package flite: four voices made from
# recordings of people), as JSON lines with audio that `slue-ner prepare jsonl` reads.
# usage: flite.sh OUT COUNT MANIFEST...   COUNT transcripts of each manifest, two at a time
set -euo pipefail
out=$1 count=$2
shift 2
mkdir -p "$out/audio"
voices=(slt rms awb kal16)
stretches=(0.80 0.88 0.96 1.04 1.12 1.20)
say() {
  local number=$1 text=$2 voice=$3 stretch=$4
  flite -voice "$voice" --setf "duration_stretch=$stretch" -t "$text" -o "$OUT/audio/$number.wav"
  printf '{"id": "flite_%s", "audio": "audio/%s.wav", "text": "%s", "entities": [], "split": "fine-tune", "speaker": "%s_%s"}\n' \
    "$number" "$number" "$text" "$voice" "$stretch" > "$OUT/audio/$number.json"
}
export -f say
export OUT=$out
for manifest in "$@"; do
  grep -o '"asr_text": "[^"]*"' "$manifest" | sed 's/"asr_text": "//; s/"$//' | awk -v count="$count" 'length($0) < 140 && n++ < count'
done | awk -v voices="${voices[*]}" -v stretches="${stretches[*]}" '
  BEGIN { split(voices, v, " "); split(stretches, s, " ") }
  { printf "%05d%c%s%c%s%c%s%c", NR, 0, $0, 0, v[NR % 4 + 1], 0, s[int(NR / 4) % 6 + 1], 0 }' |
  xargs -0 -P 2 -n 4 bash -c 'say "$@"' say
cat "$out"/audio/*.json > "$out/speech.jsonl"
rm "$out"/audio/*.json
