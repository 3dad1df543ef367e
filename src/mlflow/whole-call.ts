import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Caller, CallsOnce, WholeAnswer } from './calls-once.ts';
import type { DiscardedCall } from './discarded-call.ts';
import { readBody } from './gateway-body.ts';
import { answerHeaders } from './gateway-headers.ts';
import type { GatewayOptions } from './gateway-options.ts';
import type { JobIdentity } from './job-identity.ts';
import { parseMlflowJson } from './json.ts';
import { type ObservedCall, observedCall } from './observation.ts';
import { type Ask, type UnrepeatableCall, unrepeatableCall } from './unrepeatable-call.ts';
import { pathOf, type Upstream } from './upstream.ts';
import { answeredError } from './upstream-error.ts';

/** The largest body of a call that is no artifact: MLflow's own clients cut a batch at 1 MB. */
export const MAX_API_BODY_BYTES = 32 * 1024 * 1024;

export interface ForwardingParts {
  readonly gateway: GatewayOptions;
  readonly upstream: Upstream;
  readonly once: CallsOnce;
}

/** Whether a job's call is one whose bodies are read. */
export function isHeldWhole(method: string, url: string): boolean {
  return observedCall(method, url)?.areBodiesNeeded === true || unrepeatableCall(method, url) !== null;
}

/** One call of a job's script whose bodies are held: what MLflow did is told even when the client has left meanwhile. */
export class WholeCall {
  readonly #parts: ForwardingParts;
  readonly #identity: JobIdentity;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #url: string;

  constructor(parts: ForwardingParts, identity: JobIdentity, request: FastifyRequest, reply: FastifyReply) {
    this.#parts = parts;
    this.#identity = identity;
    this.#request = request;
    this.#reply = reply;
    this.#url = request.raw.url ?? '/';
  }

  /** Sends it on and answers it. */
  async forward(): Promise<FastifyReply> {
    return await this.#forwardBody(await readBody(this.#request.raw, MAX_API_BODY_BYTES));
  }

  /** Answers it while artifacts cannot be kept. */
  async discard(call: DiscardedCall): Promise<FastifyReply> {
    if (call.isArtifact) for await (const _ of this.#request.raw.iterator({ destroyOnReturn: false }));
    const body = call.isArtifact ? Buffer.alloc(0) : await readBody(this.#request.raw, MAX_API_BODY_BYTES);
    const discarded = call.read(body.toString());
    if (discarded === null) return await this.#forwardBody(body);
    if ('answer' in discarded) {
      const { observation } = discarded;
      if (observation !== undefined) await this.#parts.gateway.observer.record(this.#identity, observation);
      return this.#reply.send(discarded.answer);
    }
    const answer = await this.#send(Buffer.from(discarded.forward));
    if (answer.statusCode === 404 && discarded.ifMissing !== undefined) return this.#reply.send(discarded.ifMissing);
    return this.#answer(answer);
  }

  async #forwardBody(body: Buffer): Promise<FastifyReply> {
    const text = body.toString();
    const unrepeatable = unrepeatableCall(this.#request.method, this.#url)?.(text) ?? null;
    const answer =
      unrepeatable === null ? await this.#recorded(text, this.#send(body)) : await this.#sendOnce(text, unrepeatable);
    return this.#answer(answer);
  }

  async #sendOnce(text: string, call: UnrepeatableCall): Promise<WholeAnswer> {
    const perform = async ({ mark, isRepeat }: { mark: string; isRepeat: boolean }): Promise<WholeAnswer> => {
      const done = isRepeat ? await call.done(this.#ask, mark) : null;
      if (done !== null) return jsonAnswer(done);
      const answer = await this.#send(Buffer.from(call.marked(mark)));
      return isRepeat && call.isRemoval && answer.statusCode === 404 ? jsonAnswer({}) : answer;
    };
    const texts = [this.#request.method, this.#url, text];
    return await this.#parts.once.answer(this.#identity, texts, this.#caller(), (note) =>
      this.#recorded(text, perform(note)),
    );
  }

  #caller(): Caller {
    const { raw: response } = this.#reply;
    const { socket } = this.#request.raw;
    return {
      onDeparture: (then) => {
        const look = () => {
          if (!response.writableFinished) then();
        };
        if (response.closed) return look();
        // A client that gives up repeats its call at once, and the response is closed only some moments later.
        socket.once('end', look);
        response.once('finish', () => socket.off('end', look));
        response.once('close', () => {
          socket.off('end', look);
          look();
        });
      },
      onAnswered: (then) => void response.once('finish', then),
    };
  }

  /** The answer, once what it means for the job is recorded. */
  async #recorded(request: string, sending: Promise<WholeAnswer>): Promise<WholeAnswer> {
    const answer = await sending;
    const call = observedCall(this.#request.method, this.#url);
    if (call !== null && isSuccess(answer)) {
      await record(this.#parts.gateway, this.#identity, this.#url, () => call.read(request, answer.body.toString()));
    }
    return answer;
  }

  async #send(body: Buffer, to: { method: string; url: string } = { method: this.#request.method, url: this.#url }) {
    const { 'transfer-encoding': _encoding, 'content-length': _length, ...rest } = this.#request.headers;
    const headers = { ...rest, 'accept-encoding': 'identity' };
    const length = body.length === 0 ? {} : { 'content-length': String(body.length) };
    const answer = await this.#parts.upstream.send({
      ...to,
      headers: { ...headers, ...length },
      body: body.length === 0 ? null : body,
    });
    const { statusCode } = answer;
    const whole: WholeAnswer = {
      statusCode,
      headers: answer.headers,
      body: await readBody(answer.body, MAX_API_BODY_BYTES),
    };
    return whole;
  }

  readonly #ask: Ask = async (method, url, body) => {
    const sent = body === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(body));
    const answer = await this.#send(sent, { method, url });
    if (answer.statusCode === 404) return null;
    const text = answer.body.toString();
    if (!isSuccess(answer)) throw answeredError(`${method} ${pathOf(url)}`, answer.statusCode, text);
    return parseMlflowJson(text);
  };

  #answer({ statusCode, headers, body }: WholeAnswer): FastifyReply {
    return this.#reply.code(statusCode).headers(answerHeaders(headers, this.#parts.upstream.base)).send(body);
  }
}

/** Tells the observer what a call came to, if anything. Rejects when that fails. */
export async function record(
  { observer, log }: GatewayOptions,
  identity: JobIdentity,
  url: string,
  read: () => ReturnType<ObservedCall['read']>,
): Promise<void> {
  let observation: ReturnType<ObservedCall['read']>;
  try {
    observation = read();
  } catch (error) {
    // MLflow took it, so the script goes on; what it did there is missing in the job
    log.error({ jobId: identity.jobId, path: pathOf(url), err: error }, 'mlflow.call_not_understood');
    return;
  }
  if (observation !== null) await observer.record(identity, observation);
}

export function isSuccess({ statusCode }: { readonly statusCode: number }): boolean {
  return statusCode >= 200 && statusCode < 300;
}

function jsonAnswer(content: object): WholeAnswer {
  const body = Buffer.from(JSON.stringify(content));
  return { statusCode: 200, headers: { 'content-type': 'application/json' }, body };
}
