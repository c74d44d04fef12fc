import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isServiceName, SERVICES, type ServiceName } from '../contracts/services.js';
import { ShopError } from '../shop-error.js';

/** The order file that comes with the shop. */
const OWN_ORDERS = fileURLToPath(new URL('../../src/demo/orders/orders.csv', import.meta.url));

export const USAGE = `Usage: npm run demo [-- options]

  --orders FILE.csv   orders to place (default: the shop's own file), with the columns
                      InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
  --kill SERVICE      service that is killed with SIGKILL midway and started again:
                      ${SERVICES.join(', ')} or none (default: payments)
  --json              the last line of standard output is the result as one JSON object
  --help              this text

The gateway outside the shop is killed too, except with --kill none. DATABASE_URL names the PostgreSQL
server to use, for all four databases; without it two embedded servers are started.`;

/** Options of the demo. */
export interface DemoOptions {
  readonly ordersFile: string;
  readonly kill: ServiceName | 'none';
  readonly json: boolean;
  readonly help: boolean;
}

/**
 * Reads the command line of the demo.
 * @throws ShopError DEMO_USAGE with all problems.
 */
export function parseDemoOptions(args: readonly string[]): DemoOptions {
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: { orders: { type: 'string' }, kill: { type: 'string' } },
  });
  const problems: string[] = [];
  let options: DemoOptions = { ordersFile: OWN_ORDERS, kill: 'payments', json: false, help: false };
  for (const token of tokens) {
    if (token.kind === 'option') {
      // An option without a value takes the next word, which may be another option.
      const swallowed = token.inlineValue === false && token.value.startsWith('-');
      const read = readOption(token.name, swallowed ? undefined : token.value);
      if (typeof read === 'string') problems.push(read);
      else options = { ...options, ...read };
    } else if (token.kind === 'positional') {
      problems.push(`'${token.value}' is not an option`);
    }
  }
  if (problems.length === 0) return options;
  throw new ShopError('DEMO_USAGE', 'The demo was called incorrectly. See npm run demo -- --help.', problems);
}

/** @returns what the option sets, or what is wrong with it. */
function readOption(name: string, value: string | undefined): Partial<DemoOptions> | string {
  switch (name) {
    case 'orders':
      return value === undefined || value === ''
        ? '--orders needs the name of a file'
        : { ordersFile: locate(value) };
    case 'kill':
      if (value === 'none' || (value !== undefined && isServiceName(value))) return { kill: value };
      return `--kill needs ${SERVICES.join(', ')} or none`;
    case 'json':
    case 'help':
      return value === undefined ? { [name]: true } : `--${name} takes no value`;
    default:
      return `--${name} is not an option`;
  }
}

/** npm runs its scripts in the project's folder; a file is looked for there, then where npm was called. */
function locate(path: string): string {
  const calledFrom = process.env['INIT_CWD'];
  return existsSync(path) || calledFrom === undefined ? path : resolve(calledFrom, path);
}
