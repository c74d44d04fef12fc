import { isServiceName, SERVICES, type ServiceName } from './contracts/services.js';
import type { ShopDatabases } from './database/prepare-database.js';
import { ShopError } from './shop-error.js';

const DAY_MS = 86_400_000;

/** Token of the {@link ShopConfig} in Nest's container. */
export const SHOP_CONFIG = Symbol('SHOP_CONFIG');

/** Configuration of the shop. */
export interface ShopConfig {
  /** The services of this process. */
  readonly services: readonly ServiceName[];
  /** Port on 127.0.0.1; 0 takes a free one. */
  readonly port: number;
  /** Connection string to a service's own database, with its own role if roles could be created. */
  readonly connectionStrings: Readonly<Record<ServiceName, string>>;
  /** Connection string of a service to the bus. */
  readonly busConnectionStrings: Readonly<Record<ServiceName, string>>;
  /** Pieces of an article on the shelf when it is first asked for. */
  readonly startingStock: number;
  /** A charge over this many pence is declined. */
  readonly chargeLimitPence: number;
  /** Customers whose charges are always declined. */
  readonly declinedCustomers: ReadonlySet<string>;
  /** Customers to whom no carrier delivers. */
  readonly undeliverableCustomers: ReadonlySet<string>;
  /** URL of the card gateway; without one every charge succeeds. */
  readonly gatewayUrl: string | undefined;
  /** Redis as the timer clock; without it PostgreSQL is. */
  readonly redisUrl: string | undefined;
  /** How long the shop waits for a payment by bank transfer, in milliseconds. */
  readonly paymentDueMs: number;
}

/** The part of {@link ShopConfig} that comes from the environment, and the connections to the databases. */
export type ShopEnvironment = Omit<ShopConfig, 'connectionStrings' | 'busConnectionStrings'> & {
  readonly databases: OwnersDatabases | ServiceDatabases;
};

/** The owner's connections: the process brings the databases up to date and creates the services' logins. */
export interface OwnersDatabases {
  readonly owned: ShopDatabases;
}

/** The connections of one service under its own login, in prepared databases. */
export interface ServiceDatabases {
  readonly serviceDatabaseUrl: string;
  readonly serviceBusUrl: string;
}

/**
 * Reads `SERVICE` (default: all three), `PORT` (default 3000), `ORDERS_DATABASE_URL`, `INVENTORY_DATABASE_URL`,
 * `PAYMENTS_DATABASE_URL` and `BUS_DATABASE_URL` (the owner's), or for one service in prepared databases
 * `SERVICE_DATABASE_URL` and `SERVICE_BUS_URL` (its logins'),
 * `SHOP_STARTING_STOCK` (default 100,000), `SHOP_CHARGE_LIMIT_PENCE` (default 500,000), `SHOP_DECLINED_CUSTOMERS` and
 * `SHOP_UNDELIVERABLE_CUSTOMERS` (comma-separated ids), `SHOP_GATEWAY_URL`, `SHOP_PAYMENT_DUE_MS` (default 7 days) and
 * `REDIS_URL`.
 * @throws ShopError SHOP_CONFIG with all problems.
 */
export function readShopEnvironment(env: NodeJS.ProcessEnv): ShopEnvironment {
  const problems: string[] = [];
  const wholeNumber = (name: string, fallback: number, max: number): number => {
    const text = env[name];
    if (text === undefined || text === '') return fallback;
    const value = Number(text);
    if (/^\d+$/.test(text) && value <= max) return value;
    problems.push(`${name} is '${text}', expected a whole number from 0 to ${max}`);
    return fallback;
  };
  const service = env['SERVICE'] ?? '';
  if (service !== '' && !isServiceName(service)) {
    problems.push(`SERVICE is '${service}', expected ${SERVICES.join(', ')} or nothing for all`);
  }
  const database = (name: string): string => {
    const url = env[name] ?? '';
    if (!URL.canParse(url))
      problems.push(`${name} is not a URL, expected postgresql://user:password@host:port/database`);
    return url;
  };
  const customers = (name: string): Set<string> =>
    new Set((env[name] ?? '').split(',').filter((id) => id !== ''));
  const gatewayUrl = env['SHOP_GATEWAY_URL'] ?? '';
  if (gatewayUrl !== '' && !/^https?:\/\//.test(gatewayUrl)) {
    problems.push(`SHOP_GATEWAY_URL is '${gatewayUrl}', expected http://… or https://…`);
  }
  const redisUrl = env['REDIS_URL'] ?? '';
  const environment: ShopEnvironment = {
    services: isServiceName(service) ? [service] : SERVICES,
    port: wholeNumber('PORT', 3000, 65_535),
    databases: readDatabases(env, isServiceName(service), database),
    startingStock: wholeNumber('SHOP_STARTING_STOCK', 100_000, 1_000_000_000),
    chargeLimitPence: wholeNumber('SHOP_CHARGE_LIMIT_PENCE', 500_000, Number.MAX_SAFE_INTEGER),
    declinedCustomers: customers('SHOP_DECLINED_CUSTOMERS'),
    undeliverableCustomers: customers('SHOP_UNDELIVERABLE_CUSTOMERS'),
    gatewayUrl: gatewayUrl === '' ? undefined : gatewayUrl,
    redisUrl: redisUrl === '' ? undefined : redisUrl,
    paymentDueMs: wholeNumber('SHOP_PAYMENT_DUE_MS', 7 * DAY_MS, 365 * DAY_MS),
  };
  if (problems.length > 0)
    throw new ShopError('SHOP_CONFIG', "The shop's environment variables are invalid.", problems);
  return environment;
}

function readDatabases(
  env: NodeJS.ProcessEnv,
  isOneService: boolean,
  database: (name: string) => string,
): OwnersDatabases | ServiceDatabases {
  if (isOneService && (env['SERVICE_DATABASE_URL'] ?? '') !== '')
    return {
      serviceDatabaseUrl: database('SERVICE_DATABASE_URL'),
      serviceBusUrl: database('SERVICE_BUS_URL'),
    };
  return {
    owned: {
      orders: database('ORDERS_DATABASE_URL'),
      inventory: database('INVENTORY_DATABASE_URL'),
      payments: database('PAYMENTS_DATABASE_URL'),
      bus: database('BUS_DATABASE_URL'),
    },
  };
}
