import { errorCodes, type FastifyInstance, type FastifyRequest } from 'fastify';
import { endOfString } from '../../platform/exact-json.ts';
import { decodeUtf8, parseStrictJson } from '../json-body.ts';

import { CsvBody } from './wire.ts';

const JSON_TYPE = 'application/json';
const CSV_TYPE = 'text/csv';
export const SCORING_TYPES = [JSON_TYPE, CSV_TYPE] as const;

/** Makes `app` read JSON bodies, and CSV as `CsvBody`, in UTF-8; other types, and parameters of these, are refused as MLflow does. */
export function readScoringBodies(app: FastifyInstance, maxBodyBytes: number): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    '*',
    { parseAs: 'buffer', bodyLimit: maxBodyBytes },
    async ({ headers: { 'content-type': header = '' } }: FastifyRequest, body: Buffer) => {
      const [type = '', ...parameters] = header.split(';').map((each) => each.trim().toLowerCase());
      const isPlain = parameters.every((each) => /^charset="?utf-?8"?$/.test(each));
      if (isPlain && type === JSON_TYPE) return parseStrictJson(nullForNan(decodeUtf8(body)));
      if (isPlain && type === CSV_TYPE) return new CsvBody(decodeUtf8(body));
      throw new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE(header);
    },
  );
}

/** Python writes NaN where a number is not known, and MLflow's clients send it so: in JSON that is null. */
function nullForNan(text: string): string {
  if (!text.includes('NaN')) return text;
  const mark = /"|\bNaN\b/g;
  let plain = '';
  let from = 0;
  for (let found = mark.exec(text); found !== null; found = mark.exec(text)) {
    if (found[0] === '"') {
      const end = endOfString(text, found.index);
      if (end === -1) break;
      mark.lastIndex = end + 1;
    } else {
      plain += `${text.slice(from, found.index)}null`;
      from = mark.lastIndex;
    }
  }
  return plain + text.slice(from);
}
