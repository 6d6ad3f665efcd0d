"""The columns of SLUE-VoxPopuli's parquet files on the hub."""

from __future__ import annotations

import pyarrow

SPANS = pyarrow.struct(
    {
        "type": pyarrow.list_(pyarrow.string()),
        "start": pyarrow.list_(pyarrow.int32()),
        "length": pyarrow.list_(pyarrow.int32()),
    }
)
SCHEMA = pyarrow.schema(
    {
        "index": pyarrow.int32(),
        "id": pyarrow.string(),
        "audio": pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()}),
        "speaker_id": pyarrow.string(),
        "normalized_text": pyarrow.string(),
        "raw_text": pyarrow.string(),
        "raw_ner": SPANS,
        "normalized_ner": SPANS,
        "raw_combined_ner": SPANS,
        "normalized_combined_ner": SPANS,
    }
)
