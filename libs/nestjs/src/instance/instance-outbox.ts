import type { Bell, PgDatabase } from '@waybill/kernel';
import type { Sealer } from '@waybill/log';
import { type MessageSignatures, Outbox, type PayloadContracts, type TraceHeaders } from '@waybill/outbox';
import type { AmbientTransaction } from '../transactions/ambient-transaction.js';
import type { WaybillModuleOptions } from '../options/waybill-options.js';

/** What the outbox of an instance works with. */
export interface InstanceOutboxDependencies {
  readonly options: WaybillModuleOptions;
  readonly database: PgDatabase;
  readonly bell: Bell;
  readonly ambient: AmbientTransaction;
  readonly traceHeaders: TraceHeaders;
  readonly contracts: PayloadContracts;
  readonly signatures: MessageSignatures | undefined;
  readonly sealer: Sealer;
}

/** The outbox of an instance. @throws ConfigurationError */
export function instanceOutbox(parts: InstanceOutboxDependencies): Outbox {
  const { options, database, bell, ambient, traceHeaders, contracts, signatures, sealer } = parts;
  return new Outbox({
    ...options.outbox,
    schema: database.schema,
    bell,
    ambient: () => ambient.current,
    traceHeaders,
    schemas: contracts,
    sealer,
    ...(signatures === undefined ? {} : { signatures }),
    ...(options.codecs === undefined ? {} : { codecs: options.codecs }),
    ...(options.cloudEvents === undefined ? {} : { cloudEvents: options.cloudEvents }),
  });
}
