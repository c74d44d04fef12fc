import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';

/** What the gateway has done under a key. */
export interface GatewayMovement {
  readonly key: string;
  /** `awaited`: no money has moved, the customer is to pay by bank transfer. */
  readonly state: 'charged' | 'awaited' | 'refunded';
  readonly invoiceNo: string;
  readonly amountPence: number;
}

type Entry =
  | ({ readonly type: 'movement' } & GatewayMovement)
  /** A request was not answered well, or not in time. */
  | { readonly type: 'trouble' }
  /** From here on every card can be charged. */
  | { readonly type: 'repaired' };

/** The content of a journal. */
export interface GatewayBooks {
  readonly movements: readonly GatewayMovement[];
  /** How often it has failed a caller. */
  readonly troubles: number;
  readonly repaired: boolean;
}

/**
 * The gateway's own books: a file to which lines are appended, on disk before the gateway responds. It outlives the
 * gateway.
 */
export class GatewayJournal {
  readonly #file: number;
  readonly #done = new Map<string, GatewayMovement>();
  #repaired: boolean;

  constructor(path: string) {
    const { movements, repaired } = readGatewayBooks(path);
    for (const movement of movements) this.#done.set(movement.key, movement);
    this.#repaired = repaired;
    this.#file = openSync(path, 'a');
  }

  get repaired(): boolean {
    return this.#repaired;
  }

  /** What was done under a key. */
  find(key: string): GatewayMovement | undefined {
    return this.#done.get(key);
  }

  /** Adds a movement. Only the gateway keeps the same key from being added twice: a duplicate would show. */
  add(movement: GatewayMovement): void {
    this.#append({ type: 'movement', ...movement });
    this.#done.set(movement.key, movement);
  }

  noteTrouble(): void {
    this.#append({ type: 'trouble' });
  }

  noteRepair(): void {
    this.#append({ type: 'repaired' });
    this.#repaired = true;
  }

  close(): void {
    closeSync(this.#file);
  }

  #append(entry: Entry): void {
    writeSync(this.#file, `${JSON.stringify(entry)}\n`);
    fsyncSync(this.#file);
  }
}

/** Reads the books of a gateway, which may be running or not. */
export function readGatewayBooks(path: string): GatewayBooks {
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
  const entries = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Entry);
  const movements = entries.flatMap((entry) => {
    if (entry.type !== 'movement') return [];
    const { type: _, ...movement } = entry;
    return [movement];
  });
  return {
    movements,
    troubles: entries.filter(({ type }) => type === 'trouble').length,
    repaired: entries.some(({ type }) => type === 'repaired'),
  };
}
