import { Controller, Get, Inject, ServiceUnavailableException } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { getWaybillToken, type WaybillHealth, WaybillHealthIndicator } from '@waybill/nestjs';
import { SHOP_CONFIG, type ShopConfig } from './shop-config.js';

/** The health of this process's services. */
interface ShopHealth {
  readonly status: 'up' | 'degraded' | 'down';
  readonly services: WaybillHealth;
}

/** For load balancers and people. */
@Controller('health')
export class HealthController {
  constructor(
    @Inject(SHOP_CONFIG) private readonly config: ShopConfig,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {}

  /** 200, or 503 when a service is down; the body has the details. */
  @Get()
  async health(): Promise<ShopHealth> {
    const reports = await Promise.all(
      this.config.services.map((service) => this.indicator(service).isHealthy(service)),
    );
    const services: WaybillHealth = Object.assign({}, ...reports);
    const statuses = Object.values(services).map(({ status }) => status);
    const status = statuses.includes('down') ? 'down' : statuses.includes('degraded') ? 'degraded' : 'up';
    const health = { status, services } as const;
    if (status === 'down') throw new ServiceUnavailableException(health);
    return health;
  }

  private indicator(service: string): WaybillHealthIndicator {
    return this.moduleRef.get<WaybillHealthIndicator>(getWaybillToken(WaybillHealthIndicator, service), {
      strict: false,
    });
  }
}
