import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Agent, type Dispatcher } from 'undici';
import { jobToken } from '../auth/credentials.ts';
import type { Logger } from '../platform/logger.ts';
import { type OnTransfer, TransferMeter } from '../platform/transfer.ts';
import type { MlflowRequest } from './connection.ts';
import { type DiscardedCall, discardedCall } from './discarded-call.ts';
import { BodyTooLargeError, boundedBody, meteredBody, readBody } from './gateway-body.ts';
import { answerHeaders, requestHeaders } from './gateway-headers.ts';
import { type Observation, type ObservedCall, observedCall } from './observation.ts';
import { RecentMetrics } from './recent-metrics.ts';
import { answeredMessage, socketCode } from './upstream-error.ts';

/** The largest body of a call that is no artifact: MLflow's own clients cut a batch at 1 MB. */
export const MAX_API_BODY_BYTES = 32 * 1024 * 1024;
/** How long either side may send nothing. MLflow's own client gives up after 120 s. */
const IDLE_TIMEOUT_MS = 300_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** uvicorn closes a connection that was idle for 5 s; ours go first, so that no request meets a closing one. */
const IDLE_CONNECTION_MS = 3_000;
const MAX_CONNECTIONS = 256;

/** What MLflow's clients and its UI call, 2.16 and 3.17. `/api/2.0/mlflow*` holds `mlflow-artifacts` too. */
const API_PATHS = ['/api/2.0/mlflow*', '/api/3.0/mlflow*', '/ajax-api/*', '/v1/traces'];

/** Which job's script is talking, and in which of its attempts. */
export interface JobIdentity {
  readonly jobId: string;
  readonly attemptId: bigint;
  /** An artifact of this attempt was discarded, so all others are too: half a model is of no use. Absent: none was. */
  readonly hasNoArtifacts?: boolean;
}

/** What the gateway tells about the jobs whose scripts talk through it. Both methods are called concurrently. */
export interface GatewayObserver {
  /**
   * The job that a token (it starts with `asgard-job-`) belongs to, or null when it is none or no longer good.
   * Called once a request, so it should remember. When it rejects, the client is answered 503 and tries again.
   */
  authenticate(token: string): Promise<JobIdentity | null>;
  /**
   * Called after MLflow did what the script asked, and before the script is told: what resolves is never lost, and is
   * in the order of the script's own calls. When it rejects, the client is answered 503 and tries again, so the same
   * thing may be seen twice.
   */
  record(identity: JobIdentity, observation: Observation): Promise<void>;
}

export interface GatewayOptions {
  /** Where the real server is; asked for every request. */
  readonly upstream: () => string;
  /** True: every path, with the UI and its files. False: the API's paths alone, beside the routes of others. */
  readonly everything: boolean;
  readonly observer: GatewayObserver;
  /** Whether artifacts of jobs cannot be kept now (see `discardedCall`); asked for every request of a job. Absent: they can. */
  readonly hasNoArtifactStore?: () => Promise<boolean>;
  /** Whether callers authorize themselves to this platform, so that the upstream is not told how. False when absent. */
  readonly isKeyDemanded?: boolean;
  readonly log: Logger;
  /** Runs once MLflow began to answer a request that was forwarded, or did not; not for artifacts' content. Must not throw. */
  readonly onRequest?: (request: MlflowRequest) => void;
  /** Runs after each artifact that went to the store through here, or came from it. */
  readonly onTransfer?: OnTransfer;
}

/**
 * Makes a server an MLflow tracking server by forwarding to the real one: `app.register(mlflowGateway, options)`.
 *
 * Bodies stream both ways, paths and queries go on byte for byte, and a client that leaves ends the upstream's request.
 * A request that bears a job's token is told to the observer once MLflow has answered it well, before its client is
 * answered. Failures of the gateway itself have MLflow's shape, `{"error_code", "message"}`; its clients repeat 503.
 *
 * On undici alone: @fastify/reply-from repeats a GET that was answered 503 up to ten times, normalizes paths, and does
 * not end the upstream's request when the client leaves.
 */
export async function mlflowGateway(app: FastifyInstance, options: GatewayOptions): Promise<void> {
  const recent = new RecentMetrics();
  const agent = new Agent({
    connections: MAX_CONNECTIONS,
    keepAliveTimeout: IDLE_CONNECTION_MS,
    headersTimeout: IDLE_TIMEOUT_MS,
    bodyTimeout: IDLE_TIMEOUT_MS,
    connect: { timeout: CONNECT_TIMEOUT_MS },
  });
  // what is still under way when the server closes would hold it up
  app.addHook('preClose', () => agent.destroy());
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _body, done) => done(null));
  for (const url of options.everything ? ['/*'] : API_PATHS) {
    app.all(url, { config: { face: 'mlflow' } }, (request, reply) =>
      new Forwarding({ ...options, agent, recent }, request, reply).run(),
    );
  }
}

interface ForwardingOptions extends GatewayOptions {
  readonly agent: Agent;
  readonly recent: RecentMetrics;
}

/** One request on its way. */
class Forwarding {
  readonly #options: ForwardingOptions;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #upstream: URL;
  readonly #url: string;
  readonly #bodyLimitBytes: number;

  constructor(options: ForwardingOptions, request: FastifyRequest, reply: FastifyReply) {
    this.#options = options;
    this.#request = request;
    this.#reply = reply;
    this.#upstream = new URL(options.upstream());
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
      if (token === null) return await this.#forward(null, null);
      const identity = await this.#options.observer.authenticate(token);
      if (identity === null) {
        return this.#refuse(401, 'UNAUTHENTICATED', 'this job token is unknown or its job has ended');
      }
      const discarded = discardedCall(method, this.#url);
      if (discarded !== null && (await this.#isDiscarding(identity))) return await this.#discard(identity, discarded);
      const call = observedCall(method, this.#url);
      return call?.areBodiesNeeded === true
        ? await this.#forwardWhole(identity, call)
        : await this.#forward(identity, call);
    } catch (error) {
      return this.#fail(error);
    }
  }

  /** Bodies stream. */
  async #forward(identity: JobIdentity | null, call: ObservedCall | null): Promise<FastifyReply> {
    const departure = new AbortController();
    this.#reply.raw.once('close', () => {
      if (!this.#reply.raw.writableFinished) departure.abort();
    });
    const hasBody = 'content-length' in this.#request.headers || 'transfer-encoding' in this.#request.headers;
    const upload = this.#meter('PUT', 'upload');
    const body = hasBody ? boundedBody(this.#request.raw, this.#bodyLimitBytes, upload) : null;
    const answer = await this.#send(body, {}, departure.signal).catch((error: unknown) => {
      upload?.end(false);
      throw error;
    });
    upload?.end(isSuccess(answer));
    // an answer may end before the whole request was taken; the rest must be read for the client to see it
    answer.body.once('close', () => this.#drain());
    if (identity !== null && call !== null && isSuccess(answer)) {
      try {
        await this.#record(identity, call, '', '');
      } catch (error) {
        await answer.body.dump().catch(() => undefined);
        throw error;
      }
    }
    this.#reply.code(answer.statusCode).headers(answerHeaders(answer.headers, this.#upstream));
    if (identity !== null && isUpload(this.#request.method, this.#url) && isFinalRefusal(answer.statusCode)) {
      const body = await readBody(answer.body, MAX_API_BODY_BYTES);
      const reason = answeredMessage(answer.statusCode, body.toString());
      await this.#options.observer.record(identity, { type: 'artifact-refused', reason });
      return this.#reply.send(body);
    }
    const download = isSuccess(answer) ? this.#meter('GET', 'download') : undefined;
    return this.#reply.send(download === undefined ? answer.body : meteredBody(answer.body, download));
  }

  /** Bodies are held, and what MLflow did is told even when the client has left meanwhile. */
  async #forwardWhole(identity: JobIdentity, call: ObservedCall): Promise<FastifyReply> {
    const request = await readBody(this.#request.raw, this.#bodyLimitBytes);
    const answer = await this.#send(request, { 'accept-encoding': 'identity' });
    const body = await readBody(answer.body, MAX_API_BODY_BYTES);
    if (isSuccess(answer)) await this.#record(identity, call, request.toString(), body.toString());
    this.#reply.code(answer.statusCode).headers(answerHeaders(answer.headers, this.#upstream));
    return this.#reply.send(body);
  }

  async #isDiscarding({ hasNoArtifacts = false }: JobIdentity): Promise<boolean> {
    return hasNoArtifacts || (await this.#options.hasNoArtifactStore?.()) === true;
  }

  async #discard(identity: JobIdentity, call: DiscardedCall): Promise<FastifyReply> {
    if (call.isArtifact) for await (const _ of this.#request.raw.iterator({ destroyOnReturn: false }));
    const body = call.isArtifact ? Buffer.alloc(0) : await readBody(this.#request.raw, this.#bodyLimitBytes);
    const { method } = this.#request;
    const discarded = call.read(body.toString());
    if (discarded !== null && 'answer' in discarded) {
      if (discarded.observation !== undefined) await this.#options.observer.record(identity, discarded.observation);
      return this.#reply.send(discarded.answer);
    }
    const sent = discarded === null ? body : Buffer.from(discarded.forward);
    const lengths = sent.length === 0 ? {} : { 'content-length': String(sent.length) };
    const answer = await this.#send(sent.length === 0 ? null : sent, { 'accept-encoding': 'identity', ...lengths });
    const text = await readBody(answer.body, MAX_API_BODY_BYTES);
    if (answer.statusCode === 404 && discarded?.ifMissing !== undefined) return this.#reply.send(discarded.ifMissing);
    const observed = discarded === null ? observedCall(method, this.#url) : null;
    if (observed !== null && isSuccess(answer))
      await this.#record(identity, observed, body.toString(), text.toString());
    this.#reply.code(answer.statusCode).headers(answerHeaders(answer.headers, this.#upstream));
    return this.#reply.send(text);
  }

  async #send(
    body: Dispatcher.DispatchOptions['body'],
    headers: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const { agent, isKeyDemanded = false } = this.#options;
    const startedAt = performance.now();
    let status = 0;
    try {
      const answer = await agent.request({
        origin: this.#upstream.origin,
        path: `${this.#upstream.pathname.replace(/\/+$/, '')}${this.#url}`,
        method: this.#request.method as Dispatcher.HttpMethod, // undici's type lists the usual ones; it sends any
        headers: { ...requestHeaders(this.#request.headers, this.#upstream, isKeyDemanded), ...headers },
        body: body ?? null,
        signal: signal ?? null,
      });
      status = answer.statusCode;
      return answer;
    } finally {
      // A client that left was not waited for by MLflow.
      if (!isArtifact(this.#url) && signal?.aborted !== true) {
        const seconds = (performance.now() - startedAt) / 1000;
        this.#options.onRequest?.({ method: this.#request.method, path: this.#path(), status, seconds });
      }
    }
  }

  /** For an artifact's content, when it is measured and the request has this method. */
  #meter(method: string, direction: 'upload' | 'download'): TransferMeter | undefined {
    const { onTransfer } = this.#options;
    if (onTransfer === undefined || this.#request.method !== method || !isArtifact(this.#url)) return undefined;
    return new TransferMeter(direction, onTransfer);
  }

  async #record(identity: JobIdentity, call: ObservedCall, request: string, answer: string): Promise<void> {
    let observation: ReturnType<ObservedCall['read']>;
    try {
      observation = call.read(request, answer);
    } catch (error) {
      // MLflow took it, so the script goes on; what it did there is missing in the job
      this.#options.log.error({ jobId: identity.jobId, path: this.#path(), err: error }, 'mlflow.call_not_understood');
      return;
    }
    if (observation === null) return;
    const { observer, recent } = this.#options;
    if (observation.type !== 'metrics') return await observer.record(identity, observation);
    const metrics = recent.unseen(observation.metrics);
    if (metrics.length === 0) return;
    await observer.record(identity, { type: 'metrics', metrics });
    recent.remember(metrics);
  }

  #fail(error: unknown): FastifyReply {
    if (error instanceof BodyTooLargeError) {
      return this.#refuse(413, 'INVALID_PARAMETER_VALUE', `the gateway refuses this request: ${error.message}`);
    }
    if (this.#reply.raw.destroyed) return this.#reply.hijack();
    const code = socketCode(error);
    const isUpstreamAway = /^(E[A-Z]+$|UND_ERR_)/.test(code);
    const context = { method: this.#request.method, path: this.#path(), err: error };
    if (isUpstreamAway) this.#options.log.warn(context, 'mlflow.unreachable');
    else this.#options.log.error(context, 'mlflow.forward_failed');
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

  #path(): string {
    return this.#url.split('?', 1)[0] ?? this.#url;
  }
}

/**
 * MLflow's assistant runs shell commands for whoever calls from the server's own machine, which behind the gateway
 * everybody seems to do. A path that cannot be decoded is none that the server could read either.
 */
function isForTheServersOwnMachine(url: string): boolean {
  const path = url.split('?', 1)[0] ?? url;
  try {
    return decodeURIComponent(path).toLowerCase().includes('/mlflow/assistant');
  } catch {
    return false;
  }
}

/** An artifact's own bytes, which may be as many as a model has. */
function isArtifact(url: string): boolean {
  return /^\/(ajax-)?api\/2\.0\/mlflow-artifacts\/artifacts\//.test(url);
}

function isUpload(method: string, url: string): boolean {
  return method === 'PUT' && isArtifact(url);
}

/** One that MLflow's clients do not repeat. */
function isFinalRefusal(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

function isSuccess(answer: Dispatcher.ResponseData): boolean {
  return answer.statusCode >= 200 && answer.statusCode < 300;
}
