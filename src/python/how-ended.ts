import type { ExitRecord } from './frames.ts';

/** @returns the rest of a sentence about a process: "ended with exit code 1", "was ended by SIGSEGV" */
export function howEnded({ code, signal }: Pick<ExitRecord, 'code' | 'signal'>): string {
  if (signal === null) return `ended with exit code ${code}`;
  return `was ended by ${signal}${signal === 'SIGKILL' ? ', as the system does when it has no memory left' : ''}`;
}
