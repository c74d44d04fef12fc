import { setTimeout as delay } from 'node:timers/promises';
import { describeError, type Password } from '@waybill/kernel';
import { askPassword } from '@waybill/kernel/internal';
import type { Redis, RedisOptions as AnyRedisOptions } from 'ioredis';

type RedisOptions = Omit<AnyRedisOptions, 'replyMapping'>;

/** How long the function of a password may take, in milliseconds. */
const PASSWORD_TIMEOUT_MS = 5_000;

/**
 * A connection that asks for its password whenever it is opened, the first time and after every loss: ioredis itself takes a
 * text only. While the password cannot be had, it tries again, and says so by the event `error`.
 */
export function openFetching(
  Client: typeof Redis,
  options: RedisOptions,
  password: Exclude<Password, string>,
  backOffMs: (attempts: number) => number,
): Redis {
  class FetchingRedis extends Client {
    #opening: Promise<void> | undefined;
    #ended = false;

    override connect(): Promise<void> {
      this.#opening ??= this.#open().finally(() => (this.#opening = undefined));
      return this.#opening;
    }

    override disconnect(reconnect = false): void {
      if (!reconnect) this.#ended = true;
      super.disconnect(reconnect);
    }

    override duplicate(override: Partial<RedisOptions> = {}): Redis {
      return openFetching(Client, { ...options, ...override }, password, backOffMs);
    }

    async #open(): Promise<void> {
      for (let attempt = 1; ; attempt += 1) {
        try {
          this.options.password = await askPassword(password, PASSWORD_TIMEOUT_MS);
          break;
        } catch (error) {
          if (this.#ended) break;
          const failure = new Error(`The password for Redis could not be had: ${describeError(error)}`);
          if (this.listenerCount('error') > 0) this.emit('error', failure);
          await delay(backOffMs(attempt), undefined, { ref: false });
        }
      }
      if (this.#ended) throw new Error('the connection to Redis was closed');
      await super.connect();
    }
  }
  // Its fields are there only when the constructor of ioredis has returned, which would connect already.
  const client = new FetchingRedis({ ...options, lazyConnect: true });
  client.connect().catch(() => {});
  return client;
}
