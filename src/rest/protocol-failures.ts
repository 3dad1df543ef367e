import type { Face } from '../auth/access.ts';

/** One entry of a 422's `detail`, as FastAPI writes it. */
export interface WireIssue {
  readonly loc: readonly (string | number)[];
  readonly msg: string;
  readonly type: string;
}

/** Of many mistakes the first ones are told. */
const MAX_TOLD = 10;

/** The scoring server's words for a status; of MLflow's own codes, which its clients turn back into statuses. */
const SCORING_CODES: Readonly<Record<number, string>> = {
  400: 'BAD_REQUEST',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'RESOURCE_DOES_NOT_EXIST',
  409: 'RESOURCE_CONFLICT',
  429: 'REQUEST_LIMIT_EXCEEDED',
  501: 'NOT_IMPLEMENTED',
  503: 'TEMPORARILY_UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

/** A failure as the clients of another protocol read it. Both say 400 of a request that is not valid, and have one text for all of it. */
export function protocolFailure(
  face: Extract<Face, 'open-inference' | 'scoring'>,
  status: number,
  detail: string | readonly WireIssue[],
): { status: number; body: object } {
  const said = status === 422 ? 400 : status;
  const message = typeof detail === 'string' ? detail : textOf(detail);
  if (face === 'open-inference') return { status: said, body: { error: message } };
  const code = SCORING_CODES[said] ?? (said < 500 ? 'INVALID_PARAMETER_VALUE' : 'INTERNAL_ERROR');
  return { status: said, body: { error_code: code, message } };
}

/** `inputs.0.shape: Field required; …` */
function textOf(issues: readonly WireIssue[]): string {
  const told = issues.slice(0, MAX_TOLD).map(({ loc, msg }) => {
    // Behind the part of the request that it is in.
    const path = loc.slice(1).join('.');
    return path === '' ? msg : `${path}: ${msg}`;
  });
  const more = issues.length - told.length;
  return told.join('; ') + (more > 0 ? `; and ${more} more` : '');
}
