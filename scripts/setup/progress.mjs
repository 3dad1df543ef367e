/** What the set-up says, on stderr: stdout belongs to the command. */
export class Progress {
  #isQuiet;

  constructor(isQuiet) {
    this.#isQuiet = isQuiet;
  }

  say(text) {
    if (!this.#isQuiet) process.stderr.write(`set-up: ${text}\n`);
  }

  /** Does `work` and then says in one line what was done and how long it took. */
  async step(done, work) {
    const started = performance.now();
    const result = await work();
    this.say(`${done} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
    return result;
  }
}
