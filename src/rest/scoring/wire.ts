import { z } from 'zod';
import { wholeList } from '../../platform/whole-list.ts';
import { components } from '../wire-answers.ts';
import { parse } from '../zod-routes.ts';

/*
 * What MLflow's scoring server takes and answers, as `mlflow models serve` of MLflow 3 does: mlflow/pyfunc/scoring_server.
 */

/** The fields that bring rows, of which a request has one. */
export const FORMATS = ['dataframe_split', 'dataframe_records', 'instances', 'inputs'] as const;

const NO_PARAMS = 'models are given no params here: leave it out';

/** A body of CSV, as it came. */
export class CsvBody {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const jsonRequest = z
  .looseObject({
    dataframe_split: z
      .strictObject({
        columns: z.array(z.union([z.string(), z.number()], { error: 'must be a text or a number' })).nullish(),
        index: wholeList().nullish(),
        data: wholeList().describe('A list for each row.'),
      })
      .optional()
      .describe('A DataFrame as pandas writes one with `orient="split"`.'),
    dataframe_records: wholeList().optional().describe('An object for each row.'),
    instances: z.unknown().optional().describe('An object or a list for each row.'),
    inputs: z.unknown().optional().describe('An object with a list for each column, or a list of rows.'),
    params: z
      .record(z.string(), z.never({ error: NO_PARAMS }))
      .nullish()
      .describe('Not taken, unless it is empty.'),
  })
  .superRefine((body, context) => {
    const given = FORMATS.filter((format) => body[format] !== undefined);
    if (given.length === 1) return;
    const found = given.length === 0 ? 'none of them' : given.join(' and ');
    context.addIssue({ code: 'custom', message: `must have exactly one of ${FORMATS.join(', ')}, and has ${found}` });
  })
  .meta({
    description: 'Rows to predict.',
    examples: [
      {
        dataframe_split: {
          columns: ['age', 'visits'],
          data: [
            [22, 1],
            [66, 9],
          ],
        },
      },
    ],
  })
  .register(components, { id: 'ScoringRequest' });

export type ScoringRequest = z.output<typeof jsonRequest>;

/** A request in either form. */
export const scoringBody = z
  .unknown()
  .transform((body) => (body instanceof CsvBody ? body : parse(jsonRequest, body)))
  .describe('Rows to predict, as JSON or as CSV with a header.')
  .meta({ wire: { anyOf: [{ $ref: '#/components/schemas/ScoringRequest' }, { type: 'string' }] } });

export type ScoringBody = z.output<typeof scoringBody>;

export const scoringAnswer = z
  .object({ predictions: z.array(z.unknown()).describe('One for each row.') })
  .describe('What a model predicts.')
  .meta({ examples: [{ predictions: [0, 1] }] })
  .register(components, { id: 'ScoringAnswer' });

export const pingAnswer = z.object({}).describe('It works.');

export const scoringError = z
  .object({ error_code: z.string().describe('A code of MLflow’s.'), message: z.string() })
  .describe('A refusal or a failure.')
  .register(components, { id: 'ScoringError' });
