import {
  type CanActivate,
  Controller,
  type DynamicModule,
  Get,
  Module,
  type Type,
  UseGuards,
} from '@nestjs/common';
import { InjectWaybill } from '../injection/waybill-token.js';
import type { AsyncApiDocument, AsyncApiInfo } from '../async-api/async-api-document.js';
import { WaybillAsyncApi } from '../async-api/waybill-async-api.js';

/** Options of {@link WaybillAsyncApiModule}. */
export interface WaybillAsyncApiModuleOptions extends AsyncApiInfo {
  /** The path of the document. Default `asyncapi.json`. */
  readonly path?: string;
  /** The instance. Default `default`. */
  readonly name?: string;
  /** Guards of this route, in addition to those of the application. Default none. */
  readonly guards?: readonly (Type<CanActivate> | CanActivate)[];
}

/**
 * Serves the AsyncAPI document of an instance by HTTP, as a route of the application: with its prefix and its global
 * guards.
 */
@Module({})
export class WaybillAsyncApiModule {
  static forRoot(options: WaybillAsyncApiModuleOptions = {}): DynamicModule {
    const { path = 'asyncapi.json', name, guards = [], ...info } = options;

    @Controller(path)
    @UseGuards(...guards)
    class AsyncApiController {
      constructor(@InjectWaybill(WaybillAsyncApi, name) private readonly asyncApi: WaybillAsyncApi) {
        asyncApi.describe(info);
      }

      @Get()
      document(): AsyncApiDocument {
        return this.asyncApi.document();
      }
    }

    return { module: WaybillAsyncApiModule, controllers: [AsyncApiController] };
  }
}
