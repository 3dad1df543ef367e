import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ModelProcess } from '../../src/inference/python/model-process.ts';
import { PythonModel, type PythonModelOptions } from '../../src/inference/python/python-model.ts';
import { RequestLimit } from '../../src/inference/request-limit.ts';
import { CAN_BE_APART, ISOLATION } from '../support/isolation.ts';
import { Gate } from '../support/jobs-for-tests.ts';
import { modelPickle } from '../support/model-pickle.ts';
import {
  type ModelProcesses,
  modelProcessesIn,
  TOOLCHAIN_ENVIRONMENT,
  WarmProcess,
} from '../support/model-processes.ts';
import { poll } from '../support/poll.ts';
import { killIfThere, processesOf } from '../support/processes.ts';

/** Takes as many seconds as its rows say; may end itself, write where answers go, or run what it is told. */
const MODEL = modelPickle(`
import os, time, types
def predict(frame):
    if "exit" in frame:
        print("told to end", file=__import__("sys").stderr)
        os._exit(3)
    if "text" in frame:
        fd = next(int(fd) for fd in os.listdir("/proc/self/fd") if "socket" in os.readlink("/proc/self/fd/" + fd))
        while True:
            os.write(fd, frame["text"][0].encode() * 65536)
    if "code" in frame:
        return [repr(eval(code)) for code in frame["code"]]
    time.sleep(frame["seconds"].sum())
    return frame["seconds"].tolist()
model = types.SimpleNamespace(predict=predict)
`);

/** As one of xgboost's, its requests are merged; a row of 13 takes an hour, and one of 14 ends the process. */
const MERGED = modelPickle(`
import os, time
class Model:
    __module__ = "xgboost.test"
    def predict(self, frame):
        if (frame["x"] == 13).any():
            time.sleep(3600)
        if (frame["x"] == 14).any():
            os._exit(3)
        time.sleep(0.05)
        return [[x * 2, len(frame)] for x in frame["x"].tolist()]
model = Model()
`);

let folder: string;
let processes: ModelProcesses;
let warm: WarmProcess;
beforeAll(async () => {
  warm = await WarmProcess.start();
});
afterAll(() => warm?.[Symbol.asyncDispose]());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-model-'));
  processes = modelProcessesIn(folder, ISOLATION, warm.launchers);
});
afterEach(async () => {
  await processes[Symbol.asyncDispose]();
  await poll(
    () => processesOf(folder),
    (left) => left.length === 0,
  );
  expect(await readdir(join(folder, 'processes')).catch(() => [])).toEqual([]);
  await rm(folder, { recursive: true, force: true });
});

interface Options extends Partial<Pick<PythonModelOptions, 'requestLimitMs' | 'maxProcesses'>> {
  readonly signal?: AbortSignal;
}

async function load(pickle: string, options: Options = {}, { executor, memory } = processes): Promise<PythonModel> {
  const modelFolder = join(folder, 'model');
  await mkdir(modelFolder, { recursive: true });
  await writeFile(join(modelFolder, 'model.pkl'), pickle);
  const environmentFolder = TOOLCHAIN_ENVIRONMENT.folder;
  const what = { executor, environmentFolder, modelUri: 'models:/tested/1', modelFolder };
  const start = (signal: AbortSignal) => ModelProcess.start({ ...what, signal });
  const { signal = new AbortController().signal, maxProcesses = 1, requestLimitMs } = options;
  return PythonModel.load({ start, memory, hasRoomFor: () => true, maxProcesses, requestLimitMs }, signal);
}

const request = (inputs: Record<string, unknown[]>) => ({ inputs, return_probabilities: false });
const wait = (seconds: number) => request({ seconds: [seconds] });
const rows = (...values: number[]) => request({ x: values });
const evaluate = async (model: PythonModel, code: string) =>
  String((await model.predict(request({ code: [code] }))).predictions[0]);

describe('a model in Python', () => {
  test('is asked one thing at a time; a request whose time ends while it waits gives up alone, and says so', async () => {
    await using model = await load(MODEL, { requestLimitMs: 9_000 });
    expect(model).toMatchObject({ engine: 'python', columns: null, memoryBytes: expect.toSatisfy((n) => n > 30e6) });
    await using gate = await Gate.create();
    const first = evaluate(model, gate.expression);
    using limit = new RequestLimit(undefined);
    limit.begin(500);
    const second = model.predict(request({ code: ['os.environ.update(DONE="1")'] }), { signal: limit.signal });
    await expect(second).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: 'the model did not answer within 0.5 s; try again; it was busy with other requests all the while',
    });
    expect(model).toMatchObject({ isEnded: false, waiting: 1 });
    await gate.open();
    await first;
    await expect(evaluate(model, 'os.environ.get("DONE")')).resolves.toBe('None');
  });

  test.runIf(ISOLATION === 'namespaces')('leaves the warm process that it was forked from when it ends', async () => {
    const isWarm = () => warm.launchers.isWarm(TOOLCHAIN_ENVIRONMENT.folder);
    await poll(isWarm, (is) => is, 60_000);
    for (let times = 0; times < 2; times += 1) {
      const model = await load(MODEL);
      await model[Symbol.asyncDispose]();
      expect(isWarm()).toBe(true);
    }
  });

  test('does nothing for a caller who left while the request waited, whose place is free at once', async () => {
    await using model = await load(MODEL);
    await using gate = await Gate.create();
    const left = new AbortController();
    const first = evaluate(model, gate.expression);
    const second = model.predict(request({ code: ['os.environ.update(DONE="1")'] }), { signal: left.signal });
    const third = evaluate(model, 'os.environ.get("DONE")');
    await poll(
      () => model.waiting,
      (count) => count === 3,
    );
    left.abort(new Error('the caller has left'));
    expect(model.waiting).toBe(2);
    await expect(second).rejects.toThrow('the caller has left');
    await gate.open();
    await first;
    expect(await third).toBe('None');
  });

  test('has its process ended with a request that nobody waits for any more; the next one is answered by another', async () => {
    await using model = await load(MODEL, { requestLimitMs: 3_000 });
    const before = processesOf(folder).map(({ pid }) => pid);
    using limit = new RequestLimit(undefined);
    limit.begin(1_000);
    const slow = model.predict(wait(600), { signal: limit.signal });
    await expect(slow).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: 'the model did not answer within 1 s; try again',
    });
    await poll(
      () => processesOf(folder).filter(({ pid }) => before.includes(pid)),
      (still) => still.length < before.length && model.waiting === 0,
    );
    await expect(model.predict(wait(0))).resolves.toMatchObject({ predictions: [0] });
  });

  test('is not ended for a short call that is under way when its caller leaves', async () => {
    await using model = await load(MODEL);
    const before = await evaluate(model, 'os.getpid()');
    const left = new AbortController();
    let isBegun = false;
    const onTurn = (_engine: string, begunAt: number | null) => {
      isBegun = begunAt !== null;
    };
    const short = model.predict(wait(0.5), { signal: left.signal, onTurn });
    await poll(
      () => isBegun,
      (is) => is,
    );
    left.abort(new Error('the caller has left'));
    await expect(short).rejects.toThrow('the caller has left');
    expect(await evaluate(model, 'os.getpid()')).toBe(before);
  });

  test('whose process crashes with a request tries it once more, and then says how it ended', async () => {
    await using model = await load(MODEL);
    await expect(model.predict(request({ exit: [1] }))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: "the model's process ended: exit code 3: told to end; try again",
    });
    await expect(model.predict(wait(0))).resolves.toMatchObject({ predictions: [0] });
  });

  test('that is killed while requests are under way answers them by another process', async () => {
    await using model = await load(MODEL);
    await using gate = await Gate.create();
    const first = evaluate(model, gate.expression);
    const others = [0, 0].map((seconds) => model.predict(wait(seconds)));
    await gate.asked();
    expect(model.waiting).toBe(3);
    for (const { pid } of processesOf(folder)) killIfThere(pid);
    await gate.open();
    await first;
    await expect(Promise.all(others)).resolves.toMatchObject([0, 0].map((value) => ({ predictions: [value] })));
  });

  test('that writes into the channel what is no answer, or no line, is ended', async () => {
    await using model = await load(MODEL);
    await expect(model.predict(request({ text: ['nonsense\n'] }))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('something else than answers'),
    });
    await expect(model.predict(request({ text: ['x'] }))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('more than 64 MiB'),
    });
  });

  test('refuses requests beyond what may wait, and takes new ones when those are answered', async () => {
    await using model = await load(MODEL);
    const many = Array.from({ length: 600 }, () => model.predict(wait(0.001)));
    const outcomes = await Promise.allSettled(many);
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(600 - 512);
    expect(refused[0]).toMatchObject({ reason: { code: 'UNAVAILABLE', message: expect.stringContaining('too many') } });
    await expect(model.predict(wait(0))).resolves.toMatchObject({ predictions: [0] });
  });

  test('gets a second process when requests have to wait', async () => {
    await using model = await load(MODEL, { maxProcesses: 2 });
    // As many as it takes: a busy machine starts the second one late.
    const folders = new Set<string>();
    const ask = () => Array.from({ length: 4 }, () => evaluate(model, '(os.getcwd(), time.sleep(0.5))[0]'));
    await poll(
      async () => {
        for (const own of await Promise.all(ask())) folders.add(own);
        return folders.size;
      },
      (count) => count === 2,
    );
  });
});

describe('requests that came while a model was busy', () => {
  test('are merged, and each is answered its own rows', async () => {
    await using model = await load(MERGED);
    const answers = await Promise.all(
      [[1], [2, 3], [4], [5]].map((values) => model.predict(rows(...values)).then(({ predictions }) => predictions)),
    );
    const doubled = answers.map((each) => each.map((row) => (Array.isArray(row) ? row[0] : null)));
    expect(doubled).toEqual([[2], [4, 6], [8], [10]]);
    expect(new Set(answers.flat().map((row) => (Array.isArray(row) ? row[1] : null)))).toEqual(new Set([5]));
  });

  test.each([
    ['ends the process', 14, 'UNAVAILABLE', 30_000],
    ['takes for ever', 13, 'TIMEOUT', 8_000],
  ])('are not hurt by one among them that %s', async (_what, culprit, code, requestLimitMs) => {
    await using model = await load(MERGED, { requestLimitMs, maxProcesses: 2 });
    using limit = new RequestLimit(undefined);
    limit.begin(requestLimitMs);
    const asked = [1, culprit, 2].map((value) =>
      model.predict(rows(value), value === culprit ? { signal: limit.signal } : {}),
    );
    const [first, refused, last] = await Promise.allSettled(asked);
    expect([first?.status, last?.status]).toEqual(['fulfilled', 'fulfilled']);
    expect(refused).toMatchObject({ reason: { code } });
  });
});

describe('a load', () => {
  test('that is called off, or fails, has ended when the caller is told', async () => {
    const stop = new AbortController();
    const loading = load('cbuiltins\nexec\n(Vimport time; time.sleep(600)\ntR.', { signal: stop.signal });
    setTimeout(() => stop.abort(new Error('called off')), 300);
    await expect(loading).rejects.toThrow('called off');
    await expect(load('no pickle')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/^the model could not be loaded: \w+/),
    });
    await expect(load(modelPickle('import os\nos._exit(4)'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: 'the model could not be loaded: exit code 4',
    });
  });
});

describe("a model's code", () => {
  const LOOK = `__import__("pathlib").Path(${JSON.stringify('FOLDER')}).read_text()`;

  test.runIf(CAN_BE_APART)('sees neither the data folder nor a secret, and cannot change its own files', async () => {
    await writeFile(join(folder, 'secret'), 'hidden');
    await using model = await load(MODEL);
    const look = (path: string) => evaluate(model, LOOK.replace('FOLDER', path));
    await expect(look(join(folder, 'secret'))).rejects.toMatchObject({ message: expect.stringContaining('NotFound') });
    await expect(evaluate(model, `open(${JSON.stringify(join(folder, 'model', 'new'))}, "w")`)).rejects.toThrow(
      /OSError|PermissionError/,
    );
    const names = await evaluate(model, 'sorted(os.environ)');
    expect(names).not.toMatch(/TOKEN|TRACKING|SECRET|KEY|DATABASE/);
    await expect(evaluate(model, 'os.environ["OMP_NUM_THREADS"]')).resolves.toBe("'1'");
  });

  test('is run where nothing can be set apart too', async () => {
    await using apart = modelProcessesIn(folder, 'none');
    await using model = await load(MODEL, {}, apart);
    await expect(model.predict(wait(0))).resolves.toMatchObject({ predictions: [0] });
  });
});
