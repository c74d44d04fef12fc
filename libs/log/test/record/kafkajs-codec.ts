import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** A record as kafkajs's encoder takes it. */
export interface KafkajsRecord {
  offsetDelta: number;
  timestampDelta: unknown;
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, Buffer>;
}

interface KafkajsBatch {
  firstOffset: string;
  maxTimestamp: string;
  producerId: string;
  records: {
    offset: string;
    timestamp: string;
    key: Buffer | null;
    value: Buffer | null;
    headers: Record<string, Buffer | null | (Buffer | null)[]>;
  }[];
}

interface Kafkajs {
  RecordBatch(options: Record<string, unknown>): Promise<{ buffer: Buffer }>;
  encodeRecord(record: KafkajsRecord): unknown;
  decodeBatch(decoder: unknown): Promise<KafkajsBatch>;
  Decoder: new (buffer: Buffer) => unknown;
  murmur2(key: Buffer): number;
  Long: { fromValue(value: number | bigint | string): unknown };
}

const root = 'kafkajs/src/';

/** The internals of kafkajs: an implementation that shares no line with ours. */
export const kafkajs: Kafkajs = {
  RecordBatch: (require(`${root}protocol/recordBatch/v0`) as Kafkajs).RecordBatch,
  encodeRecord: require(`${root}protocol/recordBatch/record/v0`) as Kafkajs['encodeRecord'],
  decodeBatch: require(`${root}protocol/recordBatch/v0/decoder`) as Kafkajs['decodeBatch'],
  Decoder: require(`${root}protocol/decoder`) as Kafkajs['Decoder'],
  murmur2: require(`${root}producer/partitioners/default/murmur2`) as Kafkajs['murmur2'],
  Long: require(`${root}utils/long`) as Kafkajs['Long'],
};
