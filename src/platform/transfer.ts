/** Content that went to a store or came from it. */
export interface Transfer {
  readonly direction: 'upload' | 'download';
  /** What went through, also when it was not all. */
  readonly sizeBytes: number;
  readonly seconds: number;
  /** Whether all of it arrived. */
  readonly isWhole: boolean;
}

/** Runs after every transfer; it must not throw. */
export type OnTransfer = (transfer: Transfer) => void;

/** Measures one transfer, from its making to its end. */
export class TransferMeter {
  readonly #direction: Transfer['direction'];
  readonly #onTransfer: OnTransfer;
  readonly #startedAt = performance.now();
  #sizeBytes = 0;
  #isEnded = false;

  constructor(direction: Transfer['direction'], onTransfer: OnTransfer) {
    this.#direction = direction;
    this.#onTransfer = onTransfer;
  }

  add(sizeBytes: number): void {
    this.#sizeBytes += sizeBytes;
  }

  /** Tells of it. Only the first call counts. */
  end(isWhole: boolean): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const seconds = (performance.now() - this.#startedAt) / 1000;
    this.#onTransfer({ direction: this.#direction, sizeBytes: this.#sizeBytes, seconds, isWhole });
  }
}
