import { decodeBatch } from '@waybill/log';
import { MESSAGE_ID_HEADER } from '@waybill/log/internal';
import type { LoggedRecord } from '../checkers/evidence.js';
import { TOPIC } from '../load/topic.js';
import type { System } from './system.js';

type Payload = { readonly n: number; readonly key: string; readonly turn: number };

/** Reads the log of a run from its start on, and keeps every record: also those that retention removes later. */
export class LogFollower {
  readonly records: LoggedRecord[] = [];
  readonly #next = new Map<number, number>();
  #reading: Promise<void> = Promise.resolve();

  constructor(private readonly system: Pick<System, 'log' | 'topics'>) {}

  /** Reads up to the end. @throws OffsetOutOfRangeError when retention was faster */
  catchUp(): Promise<void> {
    const read = this.#reading.catch(() => {}).then(() => this.#read());
    this.#reading = read;
    return read;
  }

  async #read(): Promise<void> {
    const { partitionIds } = await this.system.topics.get(TOPIC);
    for (const [partition, partitionId] of partitionIds.entries()) {
      const offsets = (await this.system.log.offsets([partitionId])).get(partitionId);
      for (
        let offset = this.#next.get(partition) ?? offsets?.startOffset ?? 0;
        offset < (offsets?.endOffset ?? 0);
      ) {
        const { batches } = await this.system.log.fetch([{ partitionId, offset }]);
        for (const batch of batches) {
          for (const record of decodeBatch(batch.data, { fromOffset: offset })) {
            const id = record.headers.find(({ key }) => key === MESSAGE_ID_HEADER)?.value?.toString() ?? '';
            const { n, key, turn } = JSON.parse(String(record.value)) as Payload;
            this.records.push({ partition, offset: record.offset, messageId: id, n, key, turn });
          }
          offset = batch.lastOffset + 1;
          this.#next.set(partition, offset);
        }
      }
    }
  }
}
