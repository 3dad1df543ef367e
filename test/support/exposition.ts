import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { z } from 'zod';
import { inheritedEnvironment, parseConfig } from '../../src/config.ts';

/** Prometheus's own parser for Python, from the environment that only tests use. */
const PYTHON = join(parseConfig(inheritedEnvironment(), false).toolchain, 'test-python', 'bin', 'python');
const PARSE = `
import json, sys
from prometheus_client.parser import text_string_to_metric_families
families = text_string_to_metric_families(sys.stdin.read())
print(json.dumps([[f.name, f.type, [[s.name, s.labels, repr(s.value)] for s in f.samples]] for f in families]))
`;

/** As text, since JSON has no NaN, which Node gives for an event loop that it has not watched yet. */
const number = z.string().transform(Number);
const families = z.array(
  z.tuple([z.string(), z.string(), z.array(z.tuple([z.string(), z.record(z.string(), z.string()), number]))]),
);

type Labels = Readonly<Record<string, string>>;

interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

/** What `/metrics` said, parsed. */
export class Exposition {
  readonly samples: readonly Sample[];
  /** The type of each family, by its name; a counter's is without `_total`. */
  readonly types: ReadonlyMap<string, string>;

  /** Parses an answer, and sees that it is whole: no series twice, none without a type, histograms that add up. */
  static async parse(text: string): Promise<Exposition> {
    const parsed = families.parse(JSON.parse(await run(text)));
    const samples = parsed.flatMap(([, , of]) => of.map(([name, labels, value]) => ({ name, labels, value })));
    const exposition = new Exposition(samples, new Map(parsed.map(([name, type]) => [name, type])));
    const untyped = parsed.filter(([, type]) => type === 'unknown').map(([name]) => name);
    if (untyped.length > 0) throw new Error(`without a type: ${untyped.join(', ')}`);
    const keys = samples.map(keyOf);
    const twice = keys.filter((key, index) => keys.indexOf(key) !== index);
    if (twice.length > 0) throw new Error(`more than once: ${twice.join(', ')}`);
    for (const [name, type] of exposition.types) if (type === 'histogram') exposition.#checkHistogram(name);
    return exposition;
  }

  private constructor(samples: readonly Sample[], types: ReadonlyMap<string, string>) {
    this.samples = samples;
    this.types = types;
  }

  /** The value of the one series with that name and exactly these labels; undefined when there is none. */
  value(name: string, labels: Labels = {}): number | undefined {
    const key = keyOf({ name, labels, value: 0 });
    return this.samples.find((sample) => keyOf(sample) === key)?.value;
  }

  /** What a label is in all series of a name. */
  labelValues(name: string, label: string): string[] {
    return [...new Set(this.samples.filter((sample) => sample.name === name).map(({ labels }) => labels[label] ?? ''))];
  }

  /** By how much each series of these names has grown since an earlier answer, those that did not left out. */
  since(before: Exposition, names: readonly string[]): Record<string, number> {
    const grown = this.samples
      .filter(({ name }) => names.includes(name))
      .map((sample) => [keyOf(sample), sample.value - (before.value(sample.name, sample.labels) ?? 0)] as const);
    return Object.fromEntries(grown.filter(([, by]) => by !== 0));
  }

  #checkHistogram(family: string): void {
    for (const { labels, value: count } of this.samples.filter(({ name }) => name === `${family}_count`)) {
      const buckets = this.samples.filter(
        ({ name, labels: { le, ...rest } }) => name === `${family}_bucket` && keyOfLabels(rest) === keyOfLabels(labels),
      );
      const values = buckets.map(({ value }) => value);
      const isCumulative = values.every((value, index) => value >= (values[index - 1] ?? 0));
      if (!isCumulative || buckets.at(-1)?.labels['le'] !== '+Inf' || values.at(-1) !== count) {
        throw new Error(`histogram ${family}{${keyOfLabels(labels)}} does not add up: ${values.join(' ')}, ${count}`);
      }
    }
  }
}

/** Asks a platform. */
export async function metricsOf(url: string): Promise<Exposition> {
  const answer = await fetch(`${url}/metrics`);
  const type = answer.headers.get('content-type') ?? '';
  if (!answer.ok || !type.startsWith('text/plain; version=0.0.4')) throw new Error(`${answer.status} ${type}`);
  return Exposition.parse(await answer.text());
}

function keyOf({ name, labels }: Sample): string {
  return `${name}{${keyOfLabels(labels)}}`;
}

function keyOfLabels(labels: Labels): string {
  const entries = Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([label, value]) => `${label}=${value}`).join(',');
}

function run(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { maxBuffer: 64 * 1024 * 1024, timeout: 60_000 };
    const child = execFile(PYTHON, ['-I', '-c', PARSE], options, (error, stdout) =>
      error ? reject(error) : resolve(stdout),
    );
    child.stdin?.on('error', () => {}).end(text);
  });
}
