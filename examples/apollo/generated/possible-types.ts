
      export interface PossibleTypesResultData {
        possibleTypes: {
          [key: string]: string[]
        }
      }
      const result: PossibleTypesResultData = {
  "possibleTypes": {
    "CancelTrainingJobResult": [
      "ConflictError",
      "InvalidInputError",
      "NotFoundError",
      "TrainingJob",
      "UnavailableError"
    ],
    "Error": [
      "ConflictError",
      "InvalidInputError",
      "NotFoundError",
      "QueueFullError",
      "UnavailableError"
    ],
    "JobEvent": [
      "AttemptEnded",
      "EnvironmentLine",
      "JobEnded",
      "LogLine",
      "LogLines",
      "MetricLogged",
      "ModelRegistered",
      "OutputOmitted",
      "StatusChanged"
    ],
    "MaterializeFeatureViewsResult": [
      "ConflictError",
      "InvalidInputError",
      "NotFoundError",
      "StartedMaterializations",
      "UnavailableError"
    ],
    "PredictResult": [
      "InvalidInputError",
      "NotFoundError",
      "Prediction",
      "UnavailableError"
    ],
    "ScriptEnd": [
      "AttemptEnded",
      "JobEnded"
    ],
    "SubmitTrainingJobResult": [
      "InvalidInputError",
      "QueueFullError",
      "TrainingJob",
      "UnavailableError"
    ]
  }
};
      export default result;
    