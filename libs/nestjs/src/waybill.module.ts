import { ConfigurableModuleBuilder, type DynamicModule, Module, type Provider } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService } from '@nestjs/core';
import { HalfMessageDesk, HalfMessages } from '@waybill/half-message';
import { BarrierParticipant, ExternalEffects, Inbox, LeaseGuard } from '@waybill/inbox';
import { Outbox } from '@waybill/outbox';
import { SagaDesk, Sagas } from '@waybill/saga';
import { DeadLetters, Recurring, Redrives, Timers } from '@waybill/schedule';
import {
  DEFAULT_NAME,
  getBarrierToken,
  getDeadLettersToken,
  getExternalEffectsToken,
  getHalfMessageDeskToken,
  getHalfMessagesToken,
  getHealthToken,
  getInboxToken,
  getLeaseGuardToken,
  getOutboxToken,
  getRecurringToken,
  getRedrivesToken,
  getRequestGuardToken,
  getSagaDeskToken,
  getSagasToken,
  getServerToken,
  getTimersToken,
  getWaybillToken,
} from './tokens.js';
import { HalfMessageChecks } from './half-message-check.js';
import { SagaFinder } from './saga.decorators.js';
import { Waybill } from './waybill.js';
import { WaybillHealthIndicator } from './waybill-health.js';
import type { WaybillModuleOptions } from './waybill-options.js';
import { WaybillServer } from './waybill-server.js';

/** What is said of an instance beside its options, because it decides which providers there are. */
export interface WaybillModuleExtras {
  /** Name of the instance, for applications with several. Default `default`. */
  readonly name?: string;
  /** Whether every module of the application can inject it. Default true. */
  readonly isGlobal?: boolean;
}

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } = new ConfigurableModuleBuilder<WaybillModuleOptions>(
  {
    moduleName: 'Waybill',
  },
)
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createWaybillOptions')
  .setExtras<WaybillModuleExtras>({ name: DEFAULT_NAME, isGlobal: true }, withProviders)
  .build();

/**
 * Waybill in a Nest application: `forRoot(options)` or `forRootAsync({ imports, inject, useFactory })`.
 *
 * Provides {@link Outbox}, {@link Timers}, {@link Recurring}, {@link DeadLetters}, {@link Redrives},
 * {@link HalfMessages}, {@link HalfMessageDesk}, {@link Inbox}, {@link LeaseGuard}, {@link ExternalEffects}, {@link BarrierParticipant}, {@link Sagas}, {@link SagaDesk},
 * {@link WaybillServer} (the microservice strategy), {@link WaybillHealthIndicator} and {@link Waybill}; a named instance provides them by `getOutboxToken(name)` and its kin instead.
 */
@Module({})
export class WaybillModule extends ConfigurableModuleClass {}

function withProviders(definition: DynamicModule, extras: WaybillModuleExtras): DynamicModule {
  const name = extras.name ?? DEFAULT_NAME;
  const instance = getWaybillToken(name);
  const part = (provide: symbol, useFactory: (waybill: Waybill) => unknown): Provider => ({
    provide,
    inject: [instance],
    useFactory,
  });
  const providers: Provider[] = [
    {
      provide: instance,
      inject: [MODULE_OPTIONS_TOKEN],
      useFactory: (options: WaybillModuleOptions) => new Waybill(name, options),
    },
    part(getOutboxToken(name), (waybill) => waybill.outbox),
    part(getDeadLettersToken(name), (waybill) => waybill.deadLetters),
    part(getRedrivesToken(name), (waybill) => waybill.redrives),
    part(getTimersToken(name), (waybill) => waybill.timers),
    part(getRecurringToken(name), (waybill) => waybill.recurring),
    part(getHalfMessagesToken(name), (waybill) => waybill.halves.service),
    part(getHalfMessageDeskToken(name), (waybill) => waybill.halves.desk),
    part(getInboxToken(name), (waybill) => waybill.guards.inbox),
    part(getLeaseGuardToken(name), (waybill) => waybill.guards.leases),
    part(getExternalEffectsToken(name), (waybill) => waybill.guards.effects),
    part(getBarrierToken(name), (waybill) => waybill.guards.barrier),
    part(getRequestGuardToken(name), (waybill) => waybill.guards.requests),
    part(getSagasToken(name), (waybill) => waybill.sagas.sagas),
    part(getSagaDeskToken(name), (waybill) => waybill.sagas.desk),
    part(getServerToken(name), (waybill) => new WaybillServer(waybill)),
    part(getHealthToken(name), (waybill) => new WaybillHealthIndicator(waybill)),
    {
      provide: HalfMessageChecks,
      inject: [instance, DiscoveryService],
      useFactory: (waybill: Waybill, discovery: DiscoveryService) =>
        new HalfMessageChecks(waybill, discovery),
    },
    {
      provide: SagaFinder,
      inject: [instance, DiscoveryService],
      useFactory: (waybill: Waybill, discovery: DiscoveryService) => new SagaFinder(waybill, discovery),
    },
  ];
  if (name === DEFAULT_NAME) {
    providers.push(
      { provide: Waybill, useExisting: instance },
      { provide: Outbox, useExisting: getOutboxToken() },
      { provide: DeadLetters, useExisting: getDeadLettersToken() },
      { provide: Redrives, useExisting: getRedrivesToken() },
      { provide: HalfMessages, useExisting: getHalfMessagesToken() },
      { provide: HalfMessageDesk, useExisting: getHalfMessageDeskToken() },
      { provide: Inbox, useExisting: getInboxToken() },
      { provide: LeaseGuard, useExisting: getLeaseGuardToken() },
      { provide: ExternalEffects, useExisting: getExternalEffectsToken() },
      { provide: BarrierParticipant, useExisting: getBarrierToken() },
      { provide: Sagas, useExisting: getSagasToken() },
      { provide: SagaDesk, useExisting: getSagaDeskToken() },
      { provide: Timers, useExisting: getTimersToken() },
      { provide: Recurring, useExisting: getRecurringToken() },
      { provide: WaybillServer, useExisting: getServerToken() },
      { provide: WaybillHealthIndicator, useExisting: getHealthToken() },
    );
  }
  return {
    ...definition,
    global: extras.isGlobal ?? true,
    imports: [...(definition.imports ?? []), DiscoveryModule],
    providers: [...(definition.providers ?? []), ...providers],
    exports: providers.map((provider) => (provider as { provide: symbol }).provide),
  };
}
