import type { DataFolder } from '../test/support/data-folder.ts';
import { startTcpProxy } from '../test/support/tcp-proxy.ts';
import type { Count, Proof, Proven } from './support/proof.ts';
import { Received } from './support/received.ts';
import type { Stress } from './support/stress.ts';
import { TRANSPORTS, type Transport } from './support/transports.ts';

/** How often a connection breaks in the middle of a message too, before the next chosen point. */
const TORN_SHARE = 0.3;
const MAX_TORN_BYTES = 20_000;
/** Connections in a row that bring nothing: something else is wrong. */
const MAX_FRUITLESS = 50;

/** Prints its lines in bursts, so that a part of it is followed live and a part is read later. */
const SCRIPT = `
import os, time
for number in range(int(os.environ["LINES"])):
    print(number, "%016x" % (number * 0x9E3779B97F4A7C15 % 2**64))
    if number % 100 == 99:
        time.sleep(0.01)
`;

export const disconnects: Proof = {
  name: 'disconnects',
  title: 'Followers whose connections break at random points',
  prove: (stress) => proveDisconnects(stress, { lines: 100_000, disconnects: 1_000 }),
};

/** One job, followed on each transport at once over so many connections that break. */
export async function proveDisconnects(
  stress: Stress,
  counts: { readonly lines: number; readonly disconnects: number },
): Promise<Proven> {
  const folder: DataFolder = await stress.folder();
  await using platform = await folder.start();
  await platform.ready();
  const { id } = await platform.client.submit({
    scriptName: 'lines.py',
    script: SCRIPT,
    experimentName: 'stress',
    modelName: 'stress',
    environmentVariables: [{ name: 'LINES', value: String(counts.lines) }],
    timeoutSeconds: 3600,
  });
  const followers = await Promise.all(
    TRANSPORTS.map(async (transport) => {
      const points = stress.random.points(counts.disconnects, counts.lines);
      return { name: transport.name, ...(await followBroken(stress, { transport, url: platform.url, id, points })) };
    }),
  );
  return {
    counts: followers.flatMap(({ name, forced, torn, received }): Count[] => [
      { what: `${name}: disconnects`, is: forced, wanted: counts.disconnects },
      { what: `${name}: connections that broke in the middle of a message besides`, is: torn },
      { what: `${name}: lines received`, is: received.lines, wanted: counts.lines },
      { what: `${name}: events lost`, is: received.lost, wanted: 0 },
      { what: `${name}: events repeated`, is: received.repeated, wanted: 0 },
      { what: `${name}: digests equal to the end record's`, is: received.isWhole ? 1 : 0, wanted: 1 },
    ]),
    faults: followers.flatMap(({ name, received: { end } }) =>
      end?.status === 'COMPLETED' ? [] : [`${name}: the job ended as ${end?.status}`],
    ),
  };
}

interface Following {
  readonly transport: Transport;
  readonly url: string;
  readonly id: string;
  /** Numbers of events, ascending, after which it loses its connection; what had come behind them is lost with it. */
  readonly points: readonly number[];
}

async function followBroken(stress: Stress, { transport, url, id, points }: Following) {
  const received = new Received();
  let [forced, torn, fruitless] = [0, 0, 0];
  while (received.end === undefined) {
    stress.signal.throwIfAborted();
    const before = received.last;
    const point = points[forced] ?? Number.POSITIVE_INFINITY;
    const isTorn = forced < points.length && stress.random.between(0, 1) < TORN_SHARE;
    await using proxy = await startTcpProxy(url);
    if (isTorn) proxy.breakAfter(stress.random.integer(1, MAX_TORN_BYTES));
    try {
      for await (const event of transport.follow(proxy.url, id, received.last)) {
        received.take(event);
        if (received.last < point) continue;
        forced += 1;
        // Half of them say goodbye; the others are gone without a word.
        if (stress.random.between(0, 1) < 0.5) proxy.cut();
        break;
      }
    } catch (error) {
      if (!isTorn) throw error;
      torn += 1;
    }
    fruitless = received.last > before ? 0 : fruitless + 1;
    if (fruitless > MAX_FRUITLESS) throw new Error(`${transport.name}: nothing comes after event ${received.last}`);
  }
  return { forced, torn, received };
}
