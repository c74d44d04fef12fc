import { Controller, Module, type DynamicModule } from '@nestjs/common';
import { EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { WaybillModule } from '@waybill/nestjs';

/** The endpoints of every transport in the benchmark: a sum on request, and an event that is counted. */
@Controller()
export class Endpoints {
  /** Events received, by all transports of this process. */
  static heard = 0;

  @MessagePattern<string>('bench.sum')
  sum(@Payload() numbers: number[]): number {
    return numbers.reduce((total, number) => total + number, 0);
  }

  @EventPattern<string>('bench.event')
  event(): void {
    Endpoints.heard += 1;
  }
}

/** The endpoints without a Waybill transport. */
@Module({ controllers: [Endpoints] })
export class PlainModule {}

/** The endpoints as a Waybill service. */
export function waybillModule(connectionString: string): DynamicModule {
  return {
    module: class WaybillEndpoints {},
    imports: [
      WaybillModule.forRoot({
        database: { connectionString },
        group: 'bench',
        topics: { 'bench.sum': { partitions: 4 }, 'bench.event': { partitions: 4 } },
        logger: { debug() {}, info() {}, warn() {}, error: (message) => console.error(message) },
      }),
    ],
    controllers: [Endpoints],
  };
}
