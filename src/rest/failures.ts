import { httpError, httpValidationError } from './wire-answers.ts';

/** What any operation may answer: access, the limit of requests, faults, and a part of the platform that is away. */
export const ANY = { 401: httpError, 403: httpError, 429: httpError, 500: httpError, 503: httpError } as const;

/** What an operation may answer that neither asks for a key nor counts requests. */
export const OPEN_TO_ALL = { 403: httpError, 500: httpError } as const;

/** What an operation that takes a body may answer. */
export const OF_BODY = { 400: httpError, 413: httpError, 415: httpError, 422: httpValidationError } as const;

/** What an operation with parameters in its path may answer to a path that cannot be decoded. */
export const OF_PATH = { 400: httpError } as const;

/** What an operation may answer that asks MLflow. */
export const OF_MLFLOW = { 502: httpError, 504: httpError } as const;

/** What an operation may answer that asks the feature store. */
export const OF_FEATURES = { 504: httpError } as const;

/** What each status says, as the document has it. */
export const STATUS_MEANINGS: Readonly<Record<string, string>> = {
  200: 'Done',
  201: 'Made',
  202: 'Taken: it goes on behind the answer',
  204: 'There is nothing more to come',
  400: 'The request is no HTTP that can be read',
  401: 'An API key is needed',
  403: 'A page of another site, or a name that is not this server’s',
  404: 'There is none of that name',
  409: 'It is in a state in which that cannot be done',
  413: 'The body, or what was to be answered, is too large',
  415: 'The body is not said to be of a type that is taken here',
  422: 'The request is not valid; every problem is named, and nothing was changed',
  429: 'Too many requests, or the queue of jobs is full: ask again after the seconds that `retry-after` says',
  500: 'A fault of the platform, which its log has under the id of the request',
  502: 'MLflow failed',
  503: 'A part of the platform does not answer: ask again after the seconds that `retry-after` says',
  504: 'A part of the platform did not answer in time',
};
