import { SETTINGS } from './config.ts';
import { nearestNames } from './models/nearest-names.ts';

/** What `npm start -- --help` says. */
export const HELP = `Asgard: a Python training script goes in, a tracked, registered, served model comes out.

usage: npm start            (all settings are environment variables)

  HOST                 where both ports listen: an address or a name. One
                       that other machines reach needs ASGARD_API_KEY        127.0.0.1
  PORT                 API: GraphQL, REST, and MLflow's API for clients      8000
  MLFLOW_PORT          MLflow's UI and API                                   5000
                       0 for either: a free one, the last start's if it can
  ASGARD_HOME          data folder                                           .asgard
  DATABASE_URL         a PostgreSQL for Asgard's own tables. The embedded one
                       still runs for the managed MLflow, unless
                       MLFLOW_TRACKING_URI is set too                        the embedded one
  MLFLOW_TRACKING_URI  an MLflow server to use in place of the managed one   the managed one
  AWS_S3_BUCKET        a bucket for scripts and artifacts; with it the usual
                       AWS variables count: AWS_ACCESS_KEY_ID,
                       AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION
                       or AWS_DEFAULT_REGION, AWS_PROFILE, AWS_ROLE_ARN with
                       AWS_WEB_IDENTITY_TOKEN_FILE, and their like           a folder in ASGARD_HOME
  ASGARD_S3_PREFIX     folder in the bucket                                  the whole bucket
  AWS_ENDPOINT_URL_S3  another S3 server (AWS_ENDPOINT_URL and
                       MLFLOW_S3_ENDPOINT_URL are taken too)                 AWS
  ASGARD_S3_PATH_STYLE true: the bucket stands in the path; false: in the
                       host's name                                           true with another server
  ASGARD_API_KEY       a secret of at least 16 characters that every request
                       has to bear, "Authorization: Bearer <key>"; browsers
                       sign in with it. /healthz and /readyz stay open       none
  ASGARD_ALLOWED_ORIGINS  whose pages may call from a browser, such as
                       https://app.example,http://localhost:5173             our own alone
  ASGARD_TRUSTED_PROXIES  addresses or ranges of proxies whose
                       X-Forwarded-For, -Proto and -Host count               none
  ASGARD_RATE_LIMIT    requests a minute from one client, 0 for no limit     6000 with a key, else 0
  ASGARD_GRAPHIQL      on, off                                               on
  ASGARD_INTROSPECTION on, off: whether the GraphQL schema may be asked for  on
  ASGARD_WORKER_SLOTS  jobs that run at once                                 number of cores
  ASGARD_GATEWAY_URL   where scripts reach MLflow through Asgard: one address in
                       front of all platforms on one database, so that a
                       script outlives the platform that started it          http://HOST:MLFLOW_PORT
  ASGARD_MAX_QUEUED    jobs that may wait at once; more are refused          10000
  ASGARD_LAUNCHERS     Python environments that are kept warm, some 200 MB
                       each, so that their scripts start at once             2
  ASGARD_LOST_AFTER    seconds that the machine of a running job may be silent
                       before other machines give the job up                 86400
  ASGARD_OUTPUT_LIMIT  MiB of a script's output that are kept: of more, the
                       first half and the end                                64
  ASGARD_PROCESS_LIMIT processes and threads that a script may have at once, where
                       it is set apart                                       256, or 128 a core
  ASGARD_REQUEST_LIMIT MiB of a request in JSON, such as rows to predict, 4 to
                       256; a larger one is refused (413)                    16
  ASGARD_PREDICT_TIMEOUT
                       seconds that a prediction may take once its model is
                       loaded, the wait for its turn included                30
  ASGARD_MODEL_MEMORY  MiB that models in memory may take together; beyond it
                       the one goes that was asked least recently            half of the memory
  ASGARD_MODEL_FILES_LIMIT
                       GiB that their files may take in the data folder      20
  ASGARD_PRELOAD_MODELS
                       models to load at the start, by alias, such as
                       churn_predictor@champion,fraud@champion               none
  ASGARD_UPLOAD_LIMIT  MiB of a file that a table is written from            1024
  ASGARD_MODEL_CHECK_LIMIT
                       seconds that a registered model gets to be tried      120
  ASGARD_TRAINING_SAMPLE
                       on: of each training set that a script gets from the
                       feature store up to 1000 rows are kept with its job,
                       to try its model with; off: none                      on
  ASGARD_COMPILE       1: models that prove to be the same in ONNX are turned
                       into it, some minutes of a core each; 0: not here     1
  FEATURES_DATABASE_URL
                       a PostgreSQL for features alone; its role needs
                       CREATE there, and CREATEROLE for scripts              the platform's own
  ICEBERG_WAREHOUSE    where tables' files go: a folder, or s3://bucket/prefix
                       with the AWS variables above                          <ASGARD_HOME>/warehouse
  ICEBERG_CATALOG      another Iceberg catalog, as pyiceberg's properties:
                       {"type":"rest","uri":"https://catalog.example"}       in the database
  ICEBERG_READ_ACCESS_KEY_ID, ICEBERG_READ_SECRET_ACCESS_KEY
                       what scripts read a warehouse in S3 with: a key that
                       may not write                                         none
  ASGARD_MATERIALIZE_EVERY
                       seconds between two looks at the table of an online
                       feature view for something new; 0: never              300
  FEAST_REPO_PATH      where feature_store.yaml is put for Feast by hand     /tmp/feast_repo
  ASGARD_ISOLATION     how scripts are kept from the platform's files and
                       processes: auto (as far as the system allows), off,
                       required (in namespaces, or the start fails)          auto
  ASGARD_ENVIRONMENTS  folder of the jobs' Python environments               <ASGARD_HOME>/environments
  ASGARD_ENVIRONMENTS_LIMIT
                       GiB that these may take on the disk; beyond it those
                       go that are not in use and were not for the longest
                       time; 0 for no limit                                  20
  ASGARD_TOOLCHAIN     folder that the set-up made                           .toolchain
  ASGARD_PYTHON        the Python that the set-up uses, 3.10 to 3.13         the newest on the PATH
  ASGARD_LOG_LEVEL     trace, debug, info, warn, error, silent               info
  ASGARD_LOG_FORMAT    json, pretty                                          pretty on a terminal
`;

const OURS = 'ASGARD_';
/** It is the set-up's. */
const SET_UP = 'ASGARD_PYTHON';

/** A line for each variable that looks like a setting of ours and is none: a setting that is misspelt does nothing. */
export function unknownSettings(variables: NodeJS.ProcessEnv): string[] {
  const unknown = Object.keys(variables).filter(
    (name) => name.startsWith(OURS) && name !== SET_UP && !SETTINGS.includes(name),
  );
  // The prefix, which all have, would make them all alike.
  const known = new Map(SETTINGS.map((name) => [name.replace(OURS, ''), name]));
  return unknown.map((name) => {
    const [alike] = nearestNames(name.slice(OURS.length), [...known.keys()], 1);
    const advice = alike === undefined ? 'see --help' : `did you mean ${known.get(alike)}?`;
    return `${name} is no setting, and does nothing; ${advice}`;
  });
}
