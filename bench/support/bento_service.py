"""The registered model that MODEL_URI names as a BentoML service, with adaptive batching."""

import os
from typing import Any

import bentoml
import mlflow
import pandas as pd


@bentoml.service
class Model:
    """Takes rows as records, and says one prediction for each."""

    def __init__(self) -> None:
        self.model = mlflow.sklearn.load_model(os.environ["MODEL_URI"])

    @bentoml.api(batchable=True)
    def predict(self, rows: list[dict[str, Any]]) -> list[int]:
        """Rows of requests that come while a call is under way are given together to the next one.

        A list, since BentoML 1.4.40 cannot count the rows of a DataFrame that is to be one of a batch.
        """
        return self.model.predict(pd.DataFrame(rows)).tolist()
