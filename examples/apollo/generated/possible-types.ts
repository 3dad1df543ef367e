
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
    "DeleteModelAliasResult": [
      "DeletedModelAlias",
      "NotFoundError",
      "UnavailableError"
    ],
    "DeleteModelResult": [
      "ConflictError",
      "DeletedModel",
      "NotFoundError",
      "UnavailableError"
    ],
    "DeleteModelVersionResult": [
      "ConflictError",
      "DeletedModelVersion",
      "NotFoundError",
      "UnavailableError"
    ],
    "DeployModelResult": [
      "ConflictError",
      "Deployment",
      "InvalidInputError",
      "QueueFullError",
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
      "ConflictError",
      "InvalidInputError",
      "NotFoundError",
      "Prediction",
      "UnavailableError"
    ],
    "RegisterModelResult": [
      "ConflictError",
      "InvalidInputError",
      "ModelVersion",
      "NotFoundError",
      "UnavailableError"
    ],
    "ScriptEnd": [
      "AttemptEnded",
      "JobEnded"
    ],
    "SetModelAliasResult": [
      "ConflictError",
      "InvalidInputError",
      "MovedModelAlias",
      "NotFoundError",
      "UnavailableError"
    ],
    "SubmitTrainingJobResult": [
      "InvalidInputError",
      "QueueFullError",
      "TrainingJob",
      "UnavailableError"
    ],
    "UpdateModelResult": [
      "InvalidInputError",
      "NotFoundError",
      "RegisteredModel",
      "UnavailableError"
    ],
    "UpdateModelVersionResult": [
      "InvalidInputError",
      "ModelVersion",
      "NotFoundError",
      "UnavailableError"
    ]
  }
};
      export default result;
    