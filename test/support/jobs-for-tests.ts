import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { inject } from 'vitest';
import { AsgardClient, type Job, type JobEvent } from '../../src/client/client.ts';
import type { SubmitTrainingJobInput } from '../../src/client/generated/graphql.ts';
import { poll } from './poll.ts';
import { uniqueName } from './unique-name.ts';

/** The first job of a fresh clone also waits for the base environment to be built. */
export const JOB_LIMIT_MS = 220_000;

/** A kind of event, by its GraphQL name. */
export type EventOf<Type extends JobEvent['__typename']> = Extract<JobEvent, { readonly __typename: Type }>;

/** Jobs of one test file on the shared platform, through its public client. Disposing ends those that still run. */
export class JobsForTests implements AsyncDisposable {
  readonly client: AsgardClient;
  readonly #submitted: string[] = [];

  constructor() {
    this.client = new AsgardClient({ url: inject('platform').url });
  }

  /** Hands in a script under names of its own, unless `changes` gives them. @returns the job's id */
  async submit(script: string, changes: Partial<SubmitTrainingJobInput> = {}): Promise<string> {
    const name = uniqueName('job');
    const names = { scriptName: `${name}.py`, experimentName: name, modelName: name };
    // What ignores SIGTERM holds a test up no longer.
    const input = { ...names, script, graceSeconds: 2, ...changes };
    const { id } = await this.client.submit(input);
    this.#submitted.push(id);
    return id;
  }

  /** Follows a job to its end. @throws when it does not end in time */
  async end(id: string): Promise<EndedJob> {
    const events: JobEvent[] = [];
    const signal = AbortSignal.timeout(JOB_LIMIT_MS);
    for await (const event of this.client.jobEvents(id, { signal })) events.push(event);
    return new EndedJob(await this.client.job(id), events);
  }

  /** `submit` and `end`. */
  async run(script: string, changes: Partial<SubmitTrainingJobInput> = {}): Promise<EndedJob> {
    return this.end(await this.submit(script, changes));
  }

  /** Resolves with the first line of the script's that contains `text`, as soon as it arrives. @throws when none does */
  async line(id: string, text: string): Promise<EventOf<'LogLine'>> {
    const signal = AbortSignal.timeout(JOB_LIMIT_MS);
    for await (const line of this.client.jobLog(id, { signal })) if (line.text.includes(text)) return line;
    throw new Error(`job ${id} ended without a line that contains ${JSON.stringify(text)}`);
  }

  /** Resolves once the job has the status. @throws when it does not get it in time */
  status(id: string, wanted: Job['status']): Promise<Job> {
    return poll(
      () => this.client.job(id),
      ({ status }) => status === wanted,
      JOB_LIMIT_MS,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Refused for a job that has ended, as nearly all have.
    await Promise.allSettled(this.#submitted.map((id) => this.client.cancel(id, 'the test is over')));
    await this.client[Symbol.asyncDispose]();
  }
}

/** A job that has ended, and all its events. */
export class EndedJob {
  readonly job: Job;
  readonly events: readonly JobEvent[];

  constructor(job: Job, events: readonly JobEvent[]) {
    this.job = job;
    this.events = events;
  }

  of<Type extends JobEvent['__typename']>(type: Type): EventOf<Type>[] {
    return this.events.filter((event): event is EventOf<Type> => event.__typename === type);
  }

  /** The script's lines, without the platform's own. */
  get output(): EventOf<'LogLine'>[] {
    return this.of('LogLine').filter(({ stream }) => stream !== 'PLATFORM');
  }

  /** The script's lines on stdout. */
  get stdout(): string[] {
    return this.output.filter(({ stream }) => stream === 'STDOUT').map(({ text }) => text);
  }

  /** What the platform said in the job's log. */
  get said(): string[] {
    return this.of('LogLine').flatMap(({ stream, text }) => (stream === 'PLATFORM' ? [text] : []));
  }

  /** The last event. @throws when it is no end event */
  get ending(): EventOf<'JobEnded'> {
    const last = this.events.at(-1);
    if (last?.__typename !== 'JobEnded') throw new Error(`the last event is ${JSON.stringify(last)}`);
    return last;
  }

  /** What the end event must say of the lines that came. */
  get proof(): { lines: number; bytes: number; sha256: string } {
    const bytes = Buffer.from(this.output.map(({ text }) => `${text}\n`).join(''));
    return {
      lines: this.output.length,
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    };
  }
}

/** A port that scripts wait at: what is apart from the machine's files still has its network. Disposing opens it. */
export class Gate implements AsyncDisposable {
  readonly #server: Server;
  readonly #told = new Set<string>();
  readonly #opened = new Set<string>();
  readonly #waiting = new Map<Socket, string>();
  #isOver = false;

  static async create(): Promise<Gate> {
    const gate = new Gate();
    gate.#server.listen(0, '127.0.0.1');
    await once(gate.#server, 'listening');
    return gate;
  }

  private constructor() {
    this.#server = createServer((socket) => {
      socket.on('close', () => this.#waiting.delete(socket));
      // A script that is killed while it waits resets its connection: readline tells that too.
      socket.on('error', () => {});
      const lines = createInterface({ input: socket }).on('error', () => {});
      lines.on('line', (line) => this.#take(socket, line));
    });
  }

  /** Python that defines `wait(name="open")`, which returns once `open(name)` was called here, `tell(name)` and `is_told(name)`, also of what was opened here. */
  get python(): string {
    return `
import os, socket, sys, time
def _say(line):
    with socket.create_connection(("127.0.0.1", ${this.#port}), timeout=100) as gate:
        gate.sendall(line.encode() + b"\\n")
        return gate.recv(1)
def wait(name="open"):
    if _say("wait " + name) != b".":
        sys.exit("nobody opened the gate")
def is_told(name):
    return _say("told " + name) == b"."
def tell(name):
    _say("tell " + name)
`;
  }

  /** A Python expression that takes until the gate is opened, and does not need `python` before it. */
  get expression(): string {
    const connect = `__import__("socket").create_connection(("127.0.0.1", ${this.#port}))`;
    return `(lambda gate: (gate.sendall(b"wait open\\n"), gate.recv(1)))(${connect})`;
  }

  get #port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the gate is gone');
    return address.port;
  }

  /** Resolves once somebody waits at it. */
  async asked(): Promise<void> {
    await poll(
      () => this.#waiting.size,
      (count) => count > 0,
      JOB_LIMIT_MS,
    );
  }

  open(name = 'open'): Promise<void> {
    this.#opened.add(name);
    for (const [socket, awaited] of this.#waiting) if (awaited === name) socket.end('.');
    return Promise.resolve();
  }

  /** Resolves once scripts have called `tell` with so many different names that begin with `prefix`. */
  async told(prefix: string, count = 1): Promise<void> {
    await poll(
      () => [...this.#told].filter((name) => name.startsWith(prefix)),
      (names) => names.length >= count,
      JOB_LIMIT_MS,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true; // also for whoever has come and not said yet what it waits for
    for (const socket of this.#waiting.keys()) socket.end('.');
    this.#server.close();
    await once(this.#server, 'close');
  }

  #take(socket: Socket, line: string): void {
    const name = line.slice('wait '.length);
    if (line.startsWith('told ')) {
      socket.end(this.#told.has(name) || this.#opened.has(name) ? '.' : '-');
      return;
    }
    const isTold = line.startsWith('tell ');
    if (isTold) this.#told.add(name);
    if (isTold || this.#isOver || this.#opened.has(name)) socket.end('.');
    else this.#waiting.set(socket, name);
  }
}
