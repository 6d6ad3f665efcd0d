"""The command line as the arguments of a process of its own."""

from __future__ import annotations

import sys

_PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background hand on: ignored
from slue_ner.cli.main import main
sys.exit(main())
"""
COMMAND = [sys.executable, "-c", _PROGRAM]
