import { setTimeout as delay } from 'node:timers/promises';
import { describeError, type Password } from '@waybill/kernel';
import { askPassword } from '@waybill/kernel/internal';
import type { Redis, RedisOptions as AnyRedisOptions } from 'ioredis';

type RedisOptions = Omit<AnyRedisOptions, 'replyMapping'>;

/** Time limit for a password function, in milliseconds. */
const PASSWORD_TIMEOUT_MS = 5_000;

/**
 * A connection that calls its password function whenever it opens, the first time and after every loss: ioredis itself
 * accepts only a string. While the function fails, it retries, and reports that with the event `error`.
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
          const failure = new Error(`Could not get the password for Redis: ${describeError(error)}`);
          if (this.listenerCount('error') > 0) this.emit('error', failure);
          await delay(backOffMs(attempt), undefined, { ref: false });
        }
      }
      if (this.#ended) throw new Error('the connection to Redis was closed');
      await super.connect();
    }
  }
  // Its fields exist only after ioredis's constructor has returned, which would already connect.
  const client = new FetchingRedis({ ...options, lazyConnect: true });
  client.connect().catch(() => {});
  return client;
}
