import { ConfigurableModuleBuilder, type DynamicModule, Module, type Provider } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService } from '@nestjs/core';
import { CallerCheck } from '../http/caller-check.js';
import { HalfMessageFinder } from '../discovery/half-message-finder.js';
import { RequestScopeWarning } from '../discovery/request-scope-warning.js';
import { SagaFinder } from '../discovery/saga-finder.js';
import { SagaNotFoundFinder } from '../discovery/saga-not-found-finder.js';
import { StartWarnings } from '../discovery/start-warnings.js';
import { Waybill } from '../instance/waybill.js';
import { featureModule, type WaybillFeature } from './waybill-feature.js';
import { WAYBILL_SERVICES } from '../injection/waybill-services.js';
import { getWaybillToken } from '../injection/waybill-token.js';
import { DEFAULT_NAME } from '../options/instance-name.js';
import type { WaybillModuleOptions } from '../options/waybill-options.js';
import { WaybillServer } from '../server/waybill-server.js';

/** Options of an instance that decide which providers exist. */
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
 * Waybill in a Nest application: `forRoot(options)`, or `forRootAsync` with `useFactory`, `useClass` or `useExisting`
 * (a class with `createWaybillOptions()`), and `forFeature` in feature modules.
 *
 * Provides {@link Outbox}, {@link Timers}, {@link Recurring}, {@link DeadLetters}, {@link Redrives}, {@link Erasure},
 * {@link HalfMessages}, {@link HalfMessageOperations}, {@link MessageIdGuard}, {@link LeaseGuard}, {@link ExternalEffects}, {@link EffectOperations}, {@link BarrierParticipant}, {@link Sagas}, {@link Tcc}, {@link SagaOperations}, {@link SagaLockOperations},
 * {@link WaybillServer} (the microservice strategy), {@link WaybillClient} (its `ClientProxy`), {@link WaybillHealthIndicator}, {@link WaybillMetrics}, {@link WaybillAsyncApi} and {@link Waybill}; a named instance provides them by `getWaybillToken(Outbox, name)` instead.
 */
@Module({})
export class WaybillModule extends ConfigurableModuleClass {
  /**
   * What one part of an application adds to an instance: `imports: [WaybillModule.forFeature({ topics, sagas })]`. The
   * instance itself is created once, by `forRoot`, and must be global for this.
   *
   * @throws ConfigurationError that lists every problem
   */
  static forFeature(feature: WaybillFeature): DynamicModule {
    return featureModule(WaybillModule, feature);
  }
}

function withProviders(definition: DynamicModule, extras: WaybillModuleExtras): DynamicModule {
  const name = extras.name ?? DEFAULT_NAME;
  const instance = getWaybillToken(Waybill, name);
  const providers: Provider[] = [
    {
      provide: instance,
      inject: [MODULE_OPTIONS_TOKEN],
      useFactory: (options: WaybillModuleOptions) => new Waybill(name, options),
    },
    ...WAYBILL_SERVICES.map(({ type, make }) => ({
      provide: getWaybillToken(type, name),
      inject: [instance, DiscoveryService],
      useFactory: make,
    })),
    ...[HalfMessageFinder, SagaFinder, SagaNotFoundFinder, RequestScopeWarning, CallerCheck].map(
      (Finder) => ({
        provide: Finder,
        inject: [instance, DiscoveryService],
        useFactory: (waybill: Waybill, discovery: DiscoveryService) => new Finder(waybill, discovery),
      }),
    ),
    {
      provide: StartWarnings,
      inject: [instance, DiscoveryService, getWaybillToken(WaybillServer, name)],
      useFactory: (waybill: Waybill, discovery: DiscoveryService, server: WaybillServer) =>
        new StartWarnings(waybill, discovery, server),
    },
  ];
  if (name === DEFAULT_NAME) {
    providers.push({ provide: Waybill, useExisting: instance });
    for (const { type } of WAYBILL_SERVICES)
      providers.push({ provide: type, useExisting: getWaybillToken(type) });
  }
  return {
    ...definition,
    global: extras.isGlobal ?? true,
    imports: [...(definition.imports ?? []), DiscoveryModule],
    providers: [...(definition.providers ?? []), ...providers],
    exports: providers.map((provider) => (provider as { provide: symbol }).provide),
  };
}
