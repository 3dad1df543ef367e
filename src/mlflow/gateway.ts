import type { FastifyInstance } from 'fastify';
import type { Logger } from '../platform/logger.ts';
import type { OnTransfer } from '../platform/transfer.ts';
import { type CallNotes, CallsOnce } from './calls-once.ts';
import { Forwarding } from './forwarding.ts';
import type { Observation } from './observation.ts';
import { Upstream, type UpstreamOptions } from './upstream.ts';

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
   * in the order of the script's own calls. When it rejects, the client is answered 503 and tries again, and clients
   * repeat calls of which a killed platform did not tell them: the same thing may be told many times, and must count once.
   */
  record(identity: JobIdentity, observation: Observation): Promise<void>;
}

export interface GatewayOptions extends UpstreamOptions {
  /** True: every path, with the UI and its files. False: the API's paths alone, beside the routes of others. */
  readonly everything: boolean;
  readonly observer: GatewayObserver;
  /** Of jobs' calls that must reach MLflow once. */
  readonly notes: CallNotes;
  /** Whether artifacts of jobs cannot be kept now (see `discardedCall`); asked for every request of a job. Absent: they can. */
  readonly hasNoArtifactStore?: () => Promise<boolean>;
  readonly log: Logger;
  /** Runs after each artifact that went to the store through here, or came from it. */
  readonly onTransfer?: OnTransfer;
}

/**
 * Makes a server an MLflow tracking server by forwarding to the real one: `app.register(mlflowGateway, options)`.
 *
 * Bodies stream both ways, paths and queries go on byte for byte, and a client that leaves ends the upstream's request.
 * A request that bears a job's token is told to the observer once MLflow has answered it well, before its client is
 * answered, and has its effect once, however often its client repeats it. Failures of the gateway itself have MLflow's shape, `{"error_code", "message"}`; its clients repeat 503.
 *
 * On undici alone: @fastify/reply-from repeats a GET that was answered 503 up to ten times, normalizes paths, and does
 * not end the upstream's request when the client leaves.
 */
export async function mlflowGateway(app: FastifyInstance, options: GatewayOptions): Promise<void> {
  const { log, notes } = options;
  const upstream = new Upstream(options);
  const once = new CallsOnce(notes, (error) => log.error({ err: error }, 'mlflow.note_not_removed'));
  // what is still under way when the server closes would hold it up
  app.addHook('preClose', () => upstream.destroy());
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _body, done) => done(null));
  for (const url of options.everything ? ['/*'] : API_PATHS) {
    app.all(url, { config: { face: 'mlflow' } }, (request, reply) =>
      new Forwarding({ gateway: options, upstream, once }, request, reply).run(),
    );
  }
}
