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
  const momentOf = momentsOf();
  return appendOutput(
    database,
    claim,
    frames.flatMap((frame) => outputLine(frame, momentOf)),
    limit,
  );
}

function outputLine(frame: Frame, momentOf: (at: Date) => string): OutputLine[] {
  if (!('text' in frame)) return [];
  const { stream, text, isContinued } = frame;
  return [{ type: 'log', at: momentOf(frame.at), stream, text, ...(isContinued && { isContinued }) }];
}

/** Writes moments as text. The lines of one write of the runner have the same, of which there are thousands. */
function momentsOf(): (at: Date) => string {
  let last = { time: Number.NaN, text: '' };
  return (at) => {
    if (at.getTime() !== last.time) last = { time: at.getTime(), text: at.toISOString() };
    return last.text;
  };
}
