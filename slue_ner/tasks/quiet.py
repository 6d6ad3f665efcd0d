"""Lightning speaks only when it has something to say about this program."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("pytorch_lightning", "lightning_fabric")
_ADVICE = (
    ".*does not have many workers.*",  # workers are a setting
    ".*Consider setting `persistent_workers=True`.*",  # a stream without end starts them once
    ".*GPU available but not used.*",  # so is the accelerator
    ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",  # Lightning 2.6 on torch 2.11
    ".*module\\(s\\) in eval mode at the start of training.*",  # a frozen encoder stays in it
    ".*mismatched key_padding_mask and attn_mask.*",  # stock WavLM attention, transformers 5.23
    ".*Checkpoint directory .* exists and is not empty.*",  # that is what resuming is
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's notes about devices, tips and stopping, and advice that is not ours.

    Its errors, and every other warning, come through.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in _ADVICE:
            warnings.filterwarnings("ignore", message=message)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
