/**
 * A number of places for work that runs at the same time, shared by all lanes of a consumer. A place can be asked for
 * alone: it is given when no other is taken, and no other is given beside it.
 */
export class Slots {
  #taken = 0;
  #alone = false;
  readonly #waiting: (() => void)[] = [];
  readonly #waitingAlone: (() => void)[] = [];

  /** @param onFree called whenever a place has come free that nobody waits for */
  constructor(
    private readonly count: number,
    private readonly onFree: () => void,
  ) {}

  /** Takes a place if one is free. */
  tryTake(): Place | undefined {
    if (!this.#isFree() || this.#waitingAlone.length > 0) return undefined;
    this.#taken += 1;
    return new Place(this, false);
  }

  /** Takes a place, waiting for one. */
  async take(): Promise<Place> {
    const place = this.tryTake();
    if (place !== undefined) return place;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return new Place(this, false);
  }

  /** Takes a place with nobody beside it, waiting for that. */
  async takeAlone(): Promise<Place> {
    await new Promise<void>((resolve) => {
      this.#waitingAlone.push(resolve);
      this.#handOver();
    });
    return new Place(this, true);
  }

  /** @internal Called by {@link Place}. */
  give(alone: boolean, unused: boolean): void {
    if (alone) this.#alone = false;
    else this.#taken -= 1;
    this.#handOver();
    if (!unused && this.#isFree() && this.#waitingAlone.length === 0) this.onFree();
  }

  /** To those that wait for a place alone first: they stand still for all others. */
  #handOver(): void {
    const alone = this.#waitingAlone[0];
    if (alone !== undefined) {
      if (this.#taken > 0 || this.#alone) return;
      this.#waitingAlone.shift();
      this.#alone = true;
      alone();
      return;
    }
    while (this.#isFree()) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#taken += 1;
      next();
    }
  }

  #isFree(): boolean {
    return !this.#alone && this.#taken < this.count;
  }
}

/** A place that has been taken. */
export class Place {
  #held = true;

  /** @internal */
  constructor(
    private readonly slots: Slots,
    private alone: boolean,
  ) {}

  /** Gives the place back. Giving back twice is giving back once. */
  give(): void {
    this.#release(false);
  }

  /** Gives back a place that was not needed after all. */
  giveUnused(): void {
    this.#release(true);
  }

  /** Takes a place again, an ordinary one, after {@link give}. */
  async takeAgain(): Promise<void> {
    const place = await this.slots.take();
    place.#held = false;
    this.alone = false;
    this.#held = true;
  }

  #release(unused: boolean): void {
    if (!this.#held) return;
    this.#held = false;
    this.slots.give(this.alone, unused);
  }
}
