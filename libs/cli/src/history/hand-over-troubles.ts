/** Something that does not go on unless a person does something. */
export interface Trouble {
  readonly text: string;
  readonly advice: string;
}

/** The newest pass of a service that the log holds. */
export interface PassInLog {
  readonly n: number;
  /** Null: the log knows no pass of this service. */
  readonly token: string | null;
}

/** What a service's database says of its passes. */
export interface OwnPasses {
  /** The newest that it had written down as answered, before the log was asked. */
  readonly confirmedN: number;
  /** The newest, after that. */
  readonly newestN: number;
  /** The tokens that a pass of the number in the log has had; none if it has left the ring. */
  readonly known: readonly string[];
}

/** Passes that were made in another cluster. */
export const FOREIGN_PASSES: Trouble = {
  text: 'its passes were made in another cluster: the database was loaded from a dump',
  advice: 'See "Loading a dump into another cluster" in docs/OPERATIONS.md: waybill relay reconcile.',
};

/** What a relay would find when it asks the log, unless that is being healed. */
export function disagreements(
  { n, token }: PassInLog,
  { confirmedN, newestN, known }: OwnPasses,
): readonly Trouble[] {
  const isForeign = token !== null && n > 0 && known.length > 0 && !known.includes(token);
  if (n > newestN || isForeign)
    return [
      {
        text: `the log holds pass ${n}, which this database does not know: it was restored, has lost a tail, or is a copy`,
        advice: 'See "The service went back" in docs/OPERATIONS.md: waybill relay reconcile.',
      },
    ];
  if (n < confirmedN)
    return [
      {
        text: `the log holds passes up to ${n} and had answered for ${confirmedN}: it has lost a tail`,
        advice: 'See "The bus went back" in docs/OPERATIONS.md: waybill bus heal.',
      },
    ];
  return [];
}
