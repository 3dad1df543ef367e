"""Some rows of a training set, for the platform to try the model with that comes of it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_MOST_ROWS, _FEWEST_ROWS = 1_000, 5
_MOST_BYTES = 256 * 1024
"""Of the file: as many as the platform takes (`src/jobs/training-rows.ts`)."""
_MOST_BYTES_LOOKED_AT = 8 * 1024 * 1024


def training_rows(table: pa.Table) -> bytes | None:
    """A Parquet file of up to 1,000 rows, spread evenly over the table; of fewer where they would be too large.

    None where five of them are, or all that there are. Raises what pyarrow does of columns that Parquet has no type
    for.
    """
    bytes_a_row = table.nbytes // max(table.num_rows, 1) + 1
    count = min(_MOST_ROWS, table.num_rows, _MOST_BYTES_LOOKED_AT // bytes_a_row)
    while count >= min(_FEWEST_ROWS, max(table.num_rows, 1)):
        file = pa.BufferOutputStream()
        pq.write_table(table.take(pa.array(np.arange(count) * table.num_rows // count)), file, compression="zstd")
        content = file.getvalue()
        if content.size <= _MOST_BYTES:
            return content.to_pybytes()
        count //= 2
    return None
