
      export interface PossibleTypesResultData {
        possibleTypes: {
          [key: string]: string[]
        }
      }
      const result: PossibleTypesResultData = {
  "possibleTypes": {
    "ApplyFeatureServiceResult": [
      "AppliedFeatureService",
      "InvalidInputError",
      "UnavailableError"
    ],
    "ApplyFeatureViewResult": [
      "AppliedFeatureView",
      "ConflictError",
      "InvalidInputError",
      "UnavailableError"
    ],
    "CancelTrainingJobResult": [
      "ConflictError",
      "InvalidInputError",
      "NotFoundError",
      "TrainingJob",
      "UnavailableError"
    ],
    "DeleteFeatureServiceResult": [
      "DeletedFeatureService",
      "NotFoundError",
      "UnavailableError"
    ],
    "DeleteFeatureViewResult": [
      "ConflictError",
      "DeletedFeatureView",
      "NotFoundError",
      "UnavailableError"
    ],
    "DeleteIcebergTableResult": [
      "ConflictError",
      "DeletedIcebergTable",
      "NotFoundError",
      "UnavailableError"
    ],
    "Error": [
      "ConflictError",
      "InvalidInputError",
      "NotFoundError",
      "QueueFullError",
      "UnavailableError"
    ],
    "FeatureViewDefinition": [
      "FeatureView",
      "ProposedFeatureView"
    ],
    "FeatureViewPlanResult": [
      "ConflictError",
      "FeatureViewPlan",
      "InvalidInputError",
      "UnavailableError"
    ],
    "JobEvent": [
      "AttemptEnded",
      "EnvironmentLine",
      "JobEnded",
      "LogLine",
      "LogLines",
      "MetricLogged",
      "ModelChecked",
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
    "ModelMeasures": [
      "ModelCheck",
      "ModelChecked"
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
    