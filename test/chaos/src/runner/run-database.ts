import { PgDatabase } from '@waybill/kernel';

/** A database of a run, by connections that pass no proxy. */
export class RunDatabase extends PgDatabase {
  constructor(
    readonly url: string,
    connectionsMax: number,
  ) {
    super({ connectionString: url, connectionsMax });
  }

  get name(): string {
    return new URL(this.url).pathname.slice(1);
  }
}
