import type { PrismaClient } from '../database/generated/client.ts';
import { appendGap, appendOutput, type OutputLine } from '../jobs/output-store.ts';
import type { Claim } from '../jobs/queue.ts';
import type { Frame } from '../python/frames.ts';

/**
 * Stores what frames of a run's spool tell of its output, as events of its job.
 * @param limit how many bytes of it are kept
 * @returns false when the attempt is no longer the claim's, or the job has ended
 */
export async function storeFrames(
  database: PrismaClient,
  claim: Claim,
  frames: readonly Frame[],
  limit: number,
): Promise<boolean> {
  for (const frame of frames) {
    if (!('totalBytes' in frame)) continue;
    const gap = { at: frame.at.toISOString(), lastFrame: frame.number, totalBytes: frame.totalBytes };
    if (!(await appendGap(database, claim, gap, limit))) return false;
  }
  // A gap is the first of its list.
  return appendOutput(database, claim, frames.flatMap(outputLine), limit);
}

function outputLine(frame: Frame): OutputLine[] {
  if (!('text' in frame)) return [];
  const { stream, text, isContinued } = frame;
  return [{ type: 'log', at: frame.at.toISOString(), stream, text, ...(isContinued && { isContinued }) }];
}
