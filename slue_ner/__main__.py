"""``python -m slue_ner`` is ``slue-ner``."""

import sys

from slue_ner.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
