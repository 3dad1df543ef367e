/** A set-up that cannot go on, with a message for the person who started it. */
export class SetupError extends Error {
  /** @param {1 | 2} exitCode 1: a step failed; 2: the machine lacks something */
  constructor(exitCode, message) {
    super(message);
    this.name = 'SetupError';
    this.exitCode = exitCode;
  }
}
