/** What an erasure has done, and where something is left. */
export interface ErasureReport {
  /** As `subject 4f…`, by its hash; never the name or the key themselves. */
  readonly what: string;
  readonly done: readonly ErasedPart[];
  readonly remains: readonly Remainder[];
}

/** Rows that were erased in one place. */
export interface ErasedPart {
  readonly where: string;
  readonly rows: number;
}

/** Where something is left, and how it goes away. */
export interface Remainder {
  readonly where: string;
  readonly why: string;
  /** When it is gone at the latest, as far as that is known. */
  readonly until: Date | null;
}

/** What no erasure in this database reaches. */
export const ELSEWHERE: readonly Remainder[] = [
  {
    where: 'backups, WAL archives and standbys',
    why: 'they have what the database had: let those expire that are older than this erasure',
    until: null,
  },
  {
    where: "pages of the database's files",
    why: 'rows that were removed or overwritten stay in them until VACUUM has passed: run it on the schema',
    until: null,
  },
  {
    where:
      'other databases, topics of other log systems, Redis, logs of processes, and what handlers have written',
    why: 'Waybill does not know them here: run the command on the database of each service',
    until: null,
  },
];
