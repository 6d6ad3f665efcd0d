#!/usr/bin/env bash
# E2E NER on real speech from random weights. SO762 is the folder with the official SLUE layout.
set -euo pipefail
cd "$(dirname "$0")/../.."
source=${SO762:?set SO762 to the folder that holds slue-voxpopuli_fine-tune.tsv}
slue-ner prepare slue-voxpopuli "$source" data/so762
slue-ner train experiment=so762
slue-ner compare runs/so762 --into recipes/so762/README.md
