import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { getWaybillToken, WaybillServer } from '@waybill/nestjs';
import type { ShopConfig } from './shop-config.js';
import { ShopModule } from './shop.module.js';

/** An order of 2,000 lines fits. */
const BODY_LIMIT = '1mb';

/**
 * The shop, listening: HTTP on 127.0.0.1 and each service's consumer. The caller closes it.
 * @returns the application and the URL that it listens on.
 */
export async function startShop(config: ShopConfig): Promise<{ app: NestExpressApplication; url: string }> {
  const app = await NestFactory.create<NestExpressApplication>(ShopModule.register(config), {
    logger: ['warn', 'error', 'fatal'],
    abortOnError: false,
  });
  try {
    app.useBodyParser('json', { limit: BODY_LIMIT });
    for (const service of config.services) {
      const strategy = app.get<WaybillServer>(getWaybillToken(WaybillServer, service));
      app.connectMicroservice({ strategy }, { inheritAppConfig: true });
    }
    app.enableShutdownHooks();
    await app.init();
    await app.startAllMicroservices();
    await app.listen(config.port, '127.0.0.1');
    return { app, url: await app.getUrl() };
  } catch (error) {
    await app.close();
    throw error;
  }
}
