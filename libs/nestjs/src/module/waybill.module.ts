import {
  ConfigurableModuleBuilder,
  type DynamicModule,
  Module,
  type Provider,
  type Type,
} from '@nestjs/common';
import { DiscoveryModule, DiscoveryService } from '@nestjs/core';
import { HalfMessageOperations, HalfMessages } from '@waybill/half-message';
import {
  BarrierParticipant,
  EffectOperations,
  ExternalEffects,
  MessageIdGuard,
  LeaseGuard,
} from '@waybill/guard';
import { Outbox } from '@waybill/outbox';
import { SagaOperations, SagaLockOperations, Sagas, Tcc } from '@waybill/saga';
import { DeadLetters, Redrives } from '@waybill/dead-letter';
import { Erasure } from '@waybill/erasure';
import { Recurring, Timers } from '@waybill/timer';
import {
  DEFAULT_NAME,
  getAsyncApiToken,
  getBarrierToken,
  getClientToken,
  getDeadLettersToken,
  getExternalEffectsToken,
  getHalfMessageOperationsToken,
  getHalfMessagesToken,
  getHealthToken,
  getMessageIdGuardToken,
  getLeaseGuardToken,
  getMetricsToken,
  getOutboxToken,
  getRecurringToken,
  getEffectOperationsToken,
  getErasureToken,
  getRedrivesToken,
  getRequestGuardToken,
  getSagaOperationsToken,
  getSagaLockOperationsToken,
  getSagasToken,
  getTccToken,
  getServerToken,
  getTimersToken,
  getWaybillToken,
} from '../injection/waybill-token.js';
import { WaybillAsyncApi } from '../async-api/waybill-async-api.js';
import { CallerCheck } from '../http/caller-check.js';
import { HalfMessageChecks } from '../half-messages/half-message-check.js';
import { WaybillMetrics } from '../observability/waybill-metrics.js';
import { RequestScopeWarning } from '../discovery/request-scope-warning.js';
import { SagaNotFoundHandlers } from '../sagas/saga-not-found.js';
import { SagaFinder } from '../sagas/saga.decorators.js';
import { StartWarnings } from '../discovery/start-warnings.js';
import { Waybill } from '../instance/waybill.js';
import { featureModule, type WaybillFeature } from './waybill-feature.js';
import { WaybillHealthIndicator } from '../observability/waybill-health.js';
import { WaybillClient } from '../client/waybill-client.js';
import type { WaybillModuleOptions } from '../options/waybill-options.js';
import { WaybillServer } from '../server/waybill-server.js';

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
 * Waybill in a Nest application: `forRoot(options)`, or `forRootAsync` with `useFactory`, `useClass` or `useExisting` (a
 * class with `createWaybillOptions()`), and `forFeature` in the application's parts.
 *
 * Provides {@link Outbox}, {@link Timers}, {@link Recurring}, {@link DeadLetters}, {@link Redrives}, {@link Erasure},
 * {@link HalfMessages}, {@link HalfMessageOperations}, {@link MessageIdGuard}, {@link LeaseGuard}, {@link ExternalEffects}, {@link EffectOperations}, {@link BarrierParticipant}, {@link Sagas}, {@link Tcc}, {@link SagaOperations}, {@link SagaLockOperations},
 * {@link WaybillServer} (the microservice strategy), {@link WaybillClient} (its `ClientProxy`), {@link WaybillHealthIndicator}, {@link WaybillMetrics}, {@link WaybillAsyncApi} and {@link Waybill}; a named instance provides them by `getOutboxToken(name)` and its kin instead.
 */
@Module({})
export class WaybillModule extends ConfigurableModuleClass {
  /**
   * What one part of an application adds to an instance: `imports: [WaybillModule.forFeature({ topics, sagas })]`. The
   * instance itself is made once, by `forRoot`, and has to be global for it.
   *
   * @throws ConfigurationError listing every problem
   */
  static forFeature(feature: WaybillFeature): DynamicModule {
    return featureModule(WaybillModule, feature);
  }
}

/** What can be injected: the class, for the instance without a name, and the token of every instance. */
const PARTS: readonly [
  provide: Type | undefined,
  token: (name?: string) => symbol,
  make: (waybill: Waybill, discovery: DiscoveryService) => unknown,
][] = [
  [Outbox, getOutboxToken, (waybill) => waybill.outbox],
  [DeadLetters, getDeadLettersToken, (waybill) => waybill.deadLetters],
  [Redrives, getRedrivesToken, (waybill) => waybill.redrives],
  [Erasure, getErasureToken, (waybill) => waybill.erasure],
  [Timers, getTimersToken, (waybill) => waybill.timers],
  [Recurring, getRecurringToken, (waybill) => waybill.recurring],
  [HalfMessages, getHalfMessagesToken, (waybill) => waybill.halves.service],
  [HalfMessageOperations, getHalfMessageOperationsToken, (waybill) => waybill.halves.operations],
  [MessageIdGuard, getMessageIdGuardToken, (waybill) => waybill.guards.messageIdGuard],
  [LeaseGuard, getLeaseGuardToken, (waybill) => waybill.guards.leases],
  [undefined, getRequestGuardToken, (waybill) => waybill.guards.requests],
  [ExternalEffects, getExternalEffectsToken, (waybill) => waybill.guards.effects],
  [EffectOperations, getEffectOperationsToken, (waybill) => waybill.guards.effectOperations],
  [BarrierParticipant, getBarrierToken, (waybill) => waybill.guards.barrier],
  [Sagas, getSagasToken, (waybill) => waybill.sagas.sagas],
  [Tcc, getTccToken, (waybill) => waybill.sagas.tcc],
  [SagaOperations, getSagaOperationsToken, (waybill) => waybill.sagas.operations],
  [SagaLockOperations, getSagaLockOperationsToken, (waybill) => waybill.sagas.lockOperations],
  [WaybillClient, getClientToken, (waybill) => new WaybillClient({ ...waybill.options.client, waybill })],
  [WaybillServer, getServerToken, (waybill) => new WaybillServer(waybill, waybill.options.server)],
  [WaybillHealthIndicator, getHealthToken, (waybill) => new WaybillHealthIndicator(waybill)],
  [WaybillMetrics, getMetricsToken, (waybill) => new WaybillMetrics(waybill)],
  [WaybillAsyncApi, getAsyncApiToken, (waybill, discovery) => new WaybillAsyncApi(waybill, discovery)],
] as const;

function withProviders(definition: DynamicModule, extras: WaybillModuleExtras): DynamicModule {
  const name = extras.name ?? DEFAULT_NAME;
  const instance = getWaybillToken(name);
  const providers: Provider[] = [
    {
      provide: instance,
      inject: [MODULE_OPTIONS_TOKEN],
      useFactory: (options: WaybillModuleOptions) => new Waybill(name, options),
    },
    ...PARTS.map(([, token, make]) => ({
      provide: token(name),
      inject: [instance, DiscoveryService],
      useFactory: make,
    })),
    ...[HalfMessageChecks, SagaFinder, SagaNotFoundHandlers, RequestScopeWarning, CallerCheck].map(
      (Finder) => ({
        provide: Finder,
        inject: [instance, DiscoveryService],
        useFactory: (waybill: Waybill, discovery: DiscoveryService) => new Finder(waybill, discovery),
      }),
    ),
    {
      provide: StartWarnings,
      inject: [instance, DiscoveryService, getServerToken(name)],
      useFactory: (waybill: Waybill, discovery: DiscoveryService, server: WaybillServer) =>
        new StartWarnings(waybill, discovery, server),
    },
  ];
  if (name === DEFAULT_NAME) {
    providers.push({ provide: Waybill, useExisting: instance });
    for (const [provide, token] of PARTS)
      if (provide !== undefined) providers.push({ provide, useExisting: token() });
  }
  return {
    ...definition,
    global: extras.isGlobal ?? true,
    imports: [...(definition.imports ?? []), DiscoveryModule],
    providers: [...(definition.providers ?? []), ...providers],
    exports: providers.map((provider) => (provider as { provide: symbol }).provide),
  };
}
