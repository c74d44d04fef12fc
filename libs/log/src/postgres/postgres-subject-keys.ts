import { invariant, type SqlSession } from '@waybill/kernel';
import type { FoundKey, LogSubjectKeys } from '../cipher/wrapped-key.js';
import { countLogKeys, destroyLogKeys, readLogKey } from '../statements.generated.js';

/** The keys of subjects in the log's schema. */
export class PostgresSubjectKeys implements LogSubjectKeys {
  constructor(private readonly session: SqlSession) {}

  async read(keyId: string, subjectHash: Buffer): Promise<FoundKey> {
    const [row] = await this.session.run(readLogKey, keyId, subjectHash);
    invariant(row !== undefined, 'read_subject_key returned no row');
    return row;
  }

  async count(subjectHash: Buffer): Promise<number> {
    const [row] = await this.session.run(countLogKeys, subjectHash);
    return row?.keys ?? 0;
  }

  async destroy(subjectHash: Buffer): Promise<number> {
    const [row] = await this.session.run(destroyLogKeys, subjectHash);
    return row?.destroyed ?? 0;
  }
}
