import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { DiscoveryService } from '@nestjs/core';
import { declaredPatterns } from './declared-patterns.js';
import type { Waybill } from '../instance/waybill.js';

/** Warns at start of handlers that are created for each delivery: they work, but slowly. */
@Injectable()
export class RequestScopeWarning implements OnApplicationBootstrap {
  constructor(
    private readonly waybill: Waybill,
    private readonly discovery: DiscoveryService,
  ) {}

  onApplicationBootstrap(): void {
    const { name, logger } = this.waybill;
    const scoped = declaredPatterns(this.discovery, name).filter(({ isRequestScoped }) => isRequestScoped);
    if (scoped.length === 0) return;
    const handlers = scoped.map(({ pattern, where }) => `${where} (${pattern})`).join(', ');
    logger.warn(
      `request-scoped handlers are created for each delivery, with all their dependencies, and the shutdown ` +
        `hooks of their providers never run: ${handlers}. Make what they inject singletons, or durable providers; the delivery is in @Ctx().`,
    );
  }
}
