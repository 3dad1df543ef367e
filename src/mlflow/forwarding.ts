import type { FastifyReply, FastifyRequest } from 'fastify';
import { jobToken } from '../auth/credentials.ts';
import { TransferMeter } from '../platform/transfer.ts';
import { discardedCall } from './discarded-call.ts';
import { BodyTooLargeError, boundedBody, meteredBody, readBody } from './gateway-body.ts';
import { answerHeaders } from './gateway-headers.ts';
import type { JobIdentity } from './job-identity.ts';
import { observedCall } from './observation.ts';
import { isArtifact, pathOf } from './upstream.ts';
import { answeredMessage, socketCode } from './upstream-error.ts';
import { type ForwardingParts, isHeldWhole, isSuccess, MAX_API_BODY_BYTES, record, WholeCall } from './whole-call.ts';

/** One request on its way. */
export class Forwarding {
  readonly #parts: ForwardingParts;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #url: string;
  readonly #bodyLimitBytes: number;

  constructor(parts: ForwardingParts, request: FastifyRequest, reply: FastifyReply) {
    this.#parts = parts;
    this.#request = request;
    this.#reply = reply;
    this.#url = request.raw.url ?? '/';
    this.#bodyLimitBytes = isArtifact(this.#url) ? Number.POSITIVE_INFINITY : MAX_API_BODY_BYTES;
  }

  async run(): Promise<FastifyReply> {
    const { method, headers } = this.#request;
    try {
      if (isForTheServersOwnMachine(this.#url)) {
        return this.#refuse(
          403,
          'PERMISSION_DENIED',
          "MLflow's assistant is not served: it runs commands on the server",
        );
      }
      if (Number(headers['content-length'] ?? 0) > this.#bodyLimitBytes)
        throw new BodyTooLargeError(this.#bodyLimitBytes);
      const token = jobToken(headers);
      if (token === null) return await this.#forward(null);
      const identity = await this.#parts.gateway.observer.authenticate(token);
      if (identity === null) {
        return this.#refuse(401, 'UNAUTHENTICATED', 'this job token is unknown or its job has ended');
      }
      const whole = new WholeCall(this.#parts, identity, this.#request, this.#reply);
      const discarded = discardedCall(method, this.#url);
      if (discarded !== null && (await this.#isDiscarding(identity))) return await whole.discard(discarded);
      return isHeldWhole(method, this.#url) ? await whole.forward() : await this.#forward(identity);
    } catch (error) {
      return this.#fail(error);
    }
  }

  async #isDiscarding({ hasNoArtifacts = false }: JobIdentity): Promise<boolean> {
    return hasNoArtifacts || (await this.#parts.gateway.hasNoArtifactStore?.()) === true;
  }

  /** Bodies stream. */
  async #forward(identity: JobIdentity | null): Promise<FastifyReply> {
    const { upstream, gateway } = this.#parts;
    const departure = new AbortController();
    this.#reply.raw.once('close', () => {
      if (!this.#reply.raw.writableFinished) departure.abort();
    });
    const { method, headers } = this.#request;
    const hasBody = 'content-length' in headers || 'transfer-encoding' in headers;
    const upload = this.#meter('PUT', 'upload');
    const body = hasBody ? boundedBody(this.#request.raw, this.#bodyLimitBytes, upload) : null;
    const { signal } = departure;
    const answer = await upstream.send({ method, url: this.#url, headers, body, signal }).catch((error: unknown) => {
      upload?.end(false);
      throw error;
    });
    upload?.end(isSuccess(answer));
    // an answer may end before the whole request was taken; the rest must be read for the client to see it
    answer.body.once('close', () => this.#drain());
    const call = identity === null ? null : observedCall(method, this.#url);
    if (identity !== null && call !== null && isSuccess(answer)) {
      try {
        await record(gateway, identity, this.#url, () => call.read('', ''));
      } catch (error) {
        await answer.body.dump().catch(() => undefined);
        throw error;
      }
    }
    this.#reply.code(answer.statusCode).headers(answerHeaders(answer.headers, upstream.base));
    if (identity !== null && isUpload(method, this.#url) && isFinalRefusal(answer.statusCode)) {
      const body = await readBody(answer.body, MAX_API_BODY_BYTES);
      const reason = answeredMessage(answer.statusCode, body.toString());
      await gateway.observer.record(identity, { type: 'artifact-refused', reason });
      return this.#reply.send(body);
    }
    const download = isSuccess(answer) ? this.#meter('GET', 'download') : undefined;
    return this.#reply.send(download === undefined ? answer.body : meteredBody(answer.body, download));
  }

  /** For an artifact's content, when it is measured and the request has this method. */
  #meter(method: string, direction: 'upload' | 'download'): TransferMeter | undefined {
    const { onTransfer } = this.#parts.gateway;
    if (onTransfer === undefined || this.#request.method !== method || !isArtifact(this.#url)) return undefined;
    return new TransferMeter(direction, onTransfer);
  }

  #fail(error: unknown): FastifyReply {
    if (error instanceof BodyTooLargeError) {
      return this.#refuse(413, 'INVALID_PARAMETER_VALUE', `the gateway refuses this request: ${error.message}`);
    }
    if (this.#reply.raw.destroyed) return this.#reply.hijack();
    const code = socketCode(error);
    const isUpstreamAway = /^(E[A-Z]+$|UND_ERR_)/.test(code);
    const { log } = this.#parts.gateway;
    const context = { method: this.#request.method, path: pathOf(this.#url), err: error };
    if (isUpstreamAway) log.warn(context, 'mlflow.unreachable');
    else log.error(context, 'mlflow.forward_failed');
    const message = isUpstreamAway ? `the MLflow server does not answer (${code})` : 'the gateway failed';
    return this.#refuse(503, 'TEMPORARILY_UNAVAILABLE', `${message}; try again`);
  }

  #refuse(status: number, errorCode: string, message: string): FastifyReply {
    this.#drain();
    return this.#reply.code(status).send({ error_code: errorCode, message });
  }

  #drain(): void {
    if (this.#request.raw.complete) return;
    this.#request.raw.unpipe();
    this.#request.raw.resume();
  }
}

/**
 * MLflow's assistant runs shell commands for whoever calls from the server's own machine, which behind the gateway
 * everybody seems to do. A path that cannot be decoded is none that the server could read either.
 */
function isForTheServersOwnMachine(url: string): boolean {
  const path = pathOf(url);
  try {
    return decodeURIComponent(path).toLowerCase().includes('/mlflow/assistant');
  } catch {
    return false;
  }
}

function isUpload(method: string, url: string): boolean {
  return method === 'PUT' && isArtifact(url);
}

/** One that MLflow's clients do not repeat. */
function isFinalRefusal(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}
