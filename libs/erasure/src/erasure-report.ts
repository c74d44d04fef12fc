/** The result of an erasure, and the places where data remain. */
export interface ErasureReport {
  /** E.g. `subject 4f…`, by its hash; never the name or the key itself. */
  readonly what: string;
  readonly done: readonly ErasedPart[];
  readonly remains: readonly Remainder[];
}

/** Rows that were erased in one place. */
export interface ErasedPart {
  readonly where: string;
  readonly rows: number;
}

/** A place where data remain, and how they are removed. */
export interface Remainder {
  readonly where: string;
  readonly why: string;
  /** The latest time of its removal, if known. */
  readonly until: Date | null;
}

/** Places that no erasure in this database reaches. */
export const ELSEWHERE: readonly Remainder[] = [
  {
    where: 'backups, WAL archives and standbys',
    why: 'they contain what the database contained: let those older than this erasure expire',
    until: null,
  },
  {
    where: "pages of the database's files",
    why: 'removed or overwritten rows stay in them until VACUUM runs: run it on the schema',
    until: null,
  },
  {
    where:
      'other databases, topics of other log systems, Redis, logs of processes, and data written by handlers',
    why: 'Waybill does not know them: run the command on the database of each service',
    until: null,
  },
];
