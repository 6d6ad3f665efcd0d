"""Write an encoder as a transformers checkpoint that any other tool can load."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from slue_ner.core.files import filled_folder, write_json
from slue_ner.models.adaptation.lora import merge_adapters
from slue_ner.models.encoder import whisper_mel
from slue_ner.models.encoder.hub_checkpoints import (
    HUB_CONFIG_FILE,
    PREPROCESSOR_FILE,
    PROCESSOR_FILE,
    quiet_transformers,
)
from slue_ner.models.encoder.kaldi_mel import SAMPLE_RATE
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.encoder.whisper_mel import WhisperMel


def save_encoder(encoder: SpeechEncoder, folder: Path, *, half: bool = False) -> None:
    """Write config.json, model.safetensors and preprocessor_config.json into ``folder``.

    LoRA adapters are merged into the weights of a copy; ``encoder`` itself stays as it is. The
    folder loads as ``EncoderOptions(source=folder)`` and with ``AutoModel.from_pretrained``, or
    ``WhisperEncoder.from_pretrained`` as it holds no decoder.

    Args:
        encoder: what to save.
        folder: made when it is not there; other files in it stay.
        half: write the weights in float16, half the size.

    Raises:
        ValueError: for a folder in which another file would be read in place of one written here.
        OSError: naming the folder when it cannot be written.
    """
    folder = Path(folder)
    if (folder / PROCESSOR_FILE).is_file():
        raise ValueError(
            f"{folder} holds {PROCESSOR_FILE} of another checkpoint, which is read in place of "
            f"{PREPROCESSOR_FILE}; choose another folder, or remove that file"
        )
    model: Any = copy.deepcopy(encoder.model)
    merge_adapters(model)
    if half:
        model.half()
    with filled_folder(folder, last=HUB_CONFIG_FILE) as temporary:
        with quiet_transformers():
            model.save_pretrained(temporary)
        write_json(temporary / PREPROCESSOR_FILE, _preprocessor(encoder))


def _preprocessor(encoder: SpeechEncoder) -> dict[str, Any]:
    bank = encoder.filter_bank
    if bank is None:
        return {
            "feature_extractor_type": "Wav2Vec2FeatureExtractor",
            "feature_size": 1,
            "sampling_rate": SAMPLE_RATE,
            "padding_value": 0.0,
            "do_normalize": encoder.normalize_waveform,
            "return_attention_mask": True,
        }
    if isinstance(bank, WhisperMel):
        seconds = encoder.config.max_source_positions * bank.grid.frame_seconds
        return {
            "feature_extractor_type": "WhisperFeatureExtractor",
            "feature_size": bank.num_mel_bins,
            "sampling_rate": SAMPLE_RATE,
            "hop_length": whisper_mel.HOP,
            "n_fft": whisper_mel.WINDOW,
            "chunk_length": round(seconds),
            "padding_value": 0.0,
            "return_attention_mask": False,
        }
    return {
        "feature_extractor_type": "SeamlessM4TFeatureExtractor",
        "feature_size": bank.num_mel_bins,
        "num_mel_bins": bank.num_mel_bins,
        "sampling_rate": SAMPLE_RATE,
        "padding_value": 0.0,
        "stride": bank.stride,
        "return_attention_mask": True,
    }
