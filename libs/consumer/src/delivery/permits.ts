/**
 * A limited number of permits to run a delivery, shared by all lanes of a consumer. A permit can be exclusive: it is granted
 * when no other is held, and no other is granted until it is released.
 */
export class Permits {
  #held = 0;
  #isExclusive = false;
  readonly #waiting: (() => void)[] = [];
  readonly #waitingForExclusive: (() => void)[] = [];

  /** @param onFree called when a permit is released and no caller waits for it */
  constructor(
    private readonly count: number,
    private readonly onFree: () => void,
  ) {}

  /** Acquires a permit if one is free. */
  tryAcquire(): Permit | undefined {
    if (!this.#isFree() || this.#waitingForExclusive.length > 0) return undefined;
    this.#held += 1;
    return new Permit(this, false);
  }

  /** Acquires a permit, waiting for one. */
  async acquire(): Promise<Permit> {
    const permit = this.tryAcquire();
    if (permit !== undefined) return permit;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return new Permit(this, false);
  }

  /** Acquires an exclusive permit, waiting until all others are released. */
  async acquireExclusive(): Promise<Permit> {
    await new Promise<void>((resolve) => {
      this.#waitingForExclusive.push(resolve);
      this.#grant();
    });
    return new Permit(this, true);
  }

  /** @internal Called by {@link Permit}. */
  release(isExclusive: boolean, wasUsed: boolean): void {
    if (isExclusive) this.#isExclusive = false;
    else this.#held -= 1;
    this.#grant();
    if (wasUsed && this.#isFree() && this.#waitingForExclusive.length === 0) this.onFree();
  }

  /** Exclusive permits come first: while one is waited for, no others are granted. */
  #grant(): void {
    const exclusive = this.#waitingForExclusive[0];
    if (exclusive !== undefined) {
      if (this.#held > 0 || this.#isExclusive) return;
      this.#waitingForExclusive.shift();
      this.#isExclusive = true;
      exclusive();
      return;
    }
    while (this.#isFree()) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#held += 1;
      next();
    }
  }

  #isFree(): boolean {
    return !this.#isExclusive && this.#held < this.count;
  }
}

/** A permit that has been acquired. */
export class Permit {
  #isHeld = true;

  /** @internal */
  constructor(
    private readonly permits: Permits,
    private isExclusive: boolean,
  ) {}

  /** Whether it has not been released. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Releases the permit. A second call does nothing. */
  release(): void {
    this.#release(true);
  }

  /** Releases a permit that was not needed after all. */
  releaseUnused(): void {
    this.#release(false);
  }

  /** Acquires the permit again after {@link release}, as an ordinary one. */
  async reacquire(): Promise<void> {
    const permit = await this.permits.acquire();
    permit.#isHeld = false;
    this.isExclusive = false;
    this.#isHeld = true;
  }

  /**
   * Waits for the work of another delivery, without the permit: that work may need one. Then acquires the permit again, as it
   * was. Never rejects.
   */
  async awaitWithout(others: Promise<unknown>): Promise<void> {
    const wasExclusive = this.isExclusive;
    this.release();
    await others.catch(() => {});
    const permit = await (wasExclusive ? this.permits.acquireExclusive() : this.permits.acquire());
    permit.#isHeld = false;
    this.isExclusive = wasExclusive;
    this.#isHeld = true;
  }

  #release(wasUsed: boolean): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.permits.release(this.isExclusive, wasUsed);
  }
}
