/** The module that `waybill init` creates, and its name. */
export const STARTER_MODULE = 'MessagingModule';
/** Folder and file of the module within the source folder, without the extension. */
export const STARTER_PATH = 'messaging/messaging.module';

/**
 * The files that `waybill init` adds to an application, by their paths within its source folder.
 * @param group the consumer group: the service's name
 * @param suffix of relative imports: `.js`, or empty
 */
export function starterFiles(group: string, suffix: string): Readonly<Record<string, string>> {
  return {
    [`${STARTER_PATH}.ts`]: moduleFile(group, suffix),
    'messaging/greetings.controller.ts': CONTROLLER,
  };
}

function moduleFile(group: string, suffix: string): string {
  return `import { existsSync } from 'node:fs';
import { Module } from '@nestjs/common';
import { WaybillModule } from '@waybill/nestjs';
import { GreetingsController } from './greetings.controller${suffix}';

// The database's address is in the environment or in .env.
if (existsSync('.env')) process.loadEnvFile();

@Module({
  imports: [
    WaybillModule.forRoot({
      database: { connectionString: process.env['DATABASE_URL'] ?? '' },
      group: '${group}',
      topics: { greetings: {} },
    }),
  ],
  controllers: [GreetingsController],
})
export class ${STARTER_MODULE} {}
`;
}

const CONTROLLER = `import { Controller, Logger, Post } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { Waybill } from '@waybill/nestjs';

/** An example to start with: POST /greetings publishes a message, and the handler below receives it. */
@Controller('greetings')
export class GreetingsController {
  private readonly logger = new Logger(GreetingsController.name);

  constructor(private readonly waybill: Waybill) {}

  @Post()
  async publish(): Promise<void> {
    await this.waybill.transaction(async (tx, outbox) => {
      // Write your own rows with tx: await tx.query('insert into …'). They are committed with the message, or neither is.
      outbox.publish({ topic: 'greetings', key: 'world', payload: { text: 'hello, world' } });
    });
  }

  @EventPattern<string>('greetings')
  async greet(@Payload() greeting: { text: string }): Promise<void> {
    this.logger.log(greeting.text);
  }
}
`;
