import { type SqlSession } from '@waybill/kernel';
import { runAhead } from '@waybill/kernel/internal';
import { type SealedLocation, Sealer, type SubjectKey } from '@waybill/log';

/** Stores the JSON of sagas, encrypted when encryption is on: content, transitions, orders. */
export class SagaContents {
  constructor(private readonly sealer: Sealer = Sealer.none) {}

  /** The key of a saga's subject, stored in the current transaction; undefined without a subject. */
  async keyOf(session: SqlSession, subject: string | undefined): Promise<SubjectKey | undefined> {
    if (subject === undefined) return undefined;
    const key = this.sealer.subjectKey(subject);
    await runAhead(session, key.keep.statement, ...key.keep.params);
    return key;
  }

  seal(id: string, json: string, subjectKey?: SubjectKey): string {
    return this.sealer.sealJson(json, locationOf(id), { subjectKey });
  }

  /** @throws ContentUndecipherableError, SubjectErasedError */
  async open(session: SqlSession, id: string, stored: string): Promise<string> {
    return this.sealer.openJson(session, stored, locationOf(id), `saga ${id}`);
  }
}

function locationOf(id: string): SealedLocation {
  return { kind: 'saga', of: [id] };
}
