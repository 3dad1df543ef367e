import type { MetricValue } from '../../src/mlflow/json.ts';

interface Measured {
  readonly value: MetricValue;
}

/** Options of the field `value`, the same wherever a metric shows. */
export const metricValueField = {
  nullable: true,
  description: 'Its value; null when that is not a finite number: see `text`.',
  resolve: ({ value }: Measured) => (typeof value === 'number' ? value : null),
} as const;

/** Options of the field `text`, which has what `value` cannot. */
export const metricTextField = {
  description: 'Its value as text: a number, `NaN`, `Infinity` or `-Infinity`.',
  resolve: ({ value }: Measured) => String(value),
} as const;
