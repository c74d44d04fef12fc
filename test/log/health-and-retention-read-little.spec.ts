import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Fixture } from '../support/fixture.js';
import { builtStatements } from '../support/hostile-objects.js';

const ROWS = 150_000;

describe('with very many rows', () => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await Fixture.create();
    await fixture.database.pool.query(`
      insert into waybill.consumer_group (name) values ('g');
      insert into waybill.dead_letter (group_id, partition_id, log_offset, bucket_seq, topic, partition_number, handler,
                                       headers, timestamp_ms, reason, error_class, error_message, fingerprint, attempts,
                                       first_failed_at, last_failed_at, state)
      select 1, 1, n, 1, 'orders', 0, 'h', '[]', 0, 'attempts', 'Error', 'x', 'f', 1, now(), now(),
             case when n % 1000 = 0 then 'open' else 'discarded' end
        from generate_series(1, ${ROWS}) n;
      insert into waybill.operator_action (stated_by, action, target_kind, target)
      select 'a', 'discard', 'dead-letter', n::text from generate_series(1, ${ROWS}) n;
      insert into waybill.saga (id, saga_type, definition_version, saga_key, reply_topic, state, revision, content,
                                started_at, changed_at, wake_at, parent_id)
      select gen_random_uuid(), 't', 1, n::text, 'replies', 1, 1, '{}', now(), now(), now() + interval '1 day', gen_random_uuid()
        from generate_series(1, ${ROWS}) n;
      analyze`);
  });
  afterAll(() => fixture.close());

  /** How many rows of a table a statement reads. */
  const reads = async (name: string, params: readonly unknown[], table: string): Promise<number> => {
    const text = (await builtStatements()).find((statement) => statement.name === name)?.text ?? '';
    return fixture.transaction(async (client) => {
      const soFar = async (): Promise<number> => {
        const { rows } = await client.query<{ read: string }>(
          `select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) as read
             from pg_stat_xact_user_tables where schemaname = 'waybill' and relname = $1`,
          [table],
        );
        return Number(rows[0]?.read);
      };
      const before = await soFar();
      await client.query(text, [...params]);
      return (await soFar()) - before;
    });
  };

  test.each([
    ['remove-closed-dead-letters', [86_400_000, 1_000], 'dead_letter', 10],
    ['dead-letter-backlogs', [], 'dead_letter', 1_000],
    ['remove-old-actions', [86_400_000, 1_000], 'operator_action', 10],
    ['archive-orphans', [], 'saga', 10],
    ['claim-due-saga', ['replies'], 'saga', 10],
    ['saga-stats', ['replies'], 'saga', 100_010],
  ] as const)('%s (%j) reads no more rows of %s than it needs', async (name, params, table, most) => {
    expect(await reads(name, params, table)).toBeLessThanOrEqual(most);
  });
});
