import type { Bell, PgDatabase } from '@waybill/kernel';
import type { Sealer } from '@waybill/log';
import {
  type MessageSignatures,
  Outbox,
  type OutboxOptions,
  type PayloadContracts,
  type TraceHeaders,
} from '@waybill/outbox';
import type { AmbientTransaction } from '../transactions/ambient-transaction.js';

/** What the outbox of an instance works with. */
export interface InstanceOutboxDependencies {
  readonly options: Pick<OutboxOptions, 'maxMessageBytes' | 'order' | 'preparedStatements'> | undefined;
  readonly codecs: OutboxOptions['codecs'];
  readonly cloudEvents: OutboxOptions['cloudEvents'];
  readonly database: PgDatabase;
  readonly bell: Bell;
  readonly ambient: AmbientTransaction;
  readonly traceHeaders: TraceHeaders;
  readonly contracts: PayloadContracts;
  readonly signatures: MessageSignatures | undefined;
  readonly sealer: Sealer;
}

/** The outbox of an instance. @throws ConfigurationError */
export function instanceOutbox(dependencies: InstanceOutboxDependencies): Outbox {
  const { options, codecs, cloudEvents, database, bell, ambient, traceHeaders } = dependencies;
  const { contracts, signatures, sealer } = dependencies;
  return new Outbox({
    ...options,
    schema: database.schema,
    bell,
    ambient: () => ambient.current,
    traceHeaders,
    schemas: contracts,
    sealer,
    ...(signatures === undefined ? {} : { signatures }),
    ...(codecs === undefined ? {} : { codecs }),
    ...(cloudEvents === undefined ? {} : { cloudEvents }),
  });
}
