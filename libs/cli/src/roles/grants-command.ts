import {
  applyGrants,
  type DatabasePart,
  type GrantOptions,
  grantStatements,
  type Role,
} from '@waybill/schema';
import type { Command } from 'commander';
import { globals, withDatabase } from '../arguments/target.js';
import type { Output } from '../output/output.js';
import { names, part, roles } from './role-arguments.js';

interface GrantsOptions {
  readonly role: readonly Role[];
  readonly login: string;
  readonly part?: DatabasePart;
  readonly topics?: readonly string[];
  readonly consume?: readonly string[];
  readonly groups?: readonly string[];
  readonly apply?: true;
}

/** `waybill grants`: what a login needs to be a publisher, a service, a participant, a monitor or an operator. */
export function addGrantsCommand(program: Command, output: Output): void {
  program
    .command('grants')
    .description(
      'prints the SQL that gives a login the rights of its role, and takes all others in the schema from it; for the owner of the schema. Needs no database unless --apply is given',
    )
    .requiredOption(
      '--role <roles>',
      'publisher, service, participant, monitor or operator; several with commas',
      roles,
    )
    .requiredOption('--login <name>', 'the role of the server that is granted them')
    .option(
      '--part <part>',
      'what is in the database: whole, bus or participant (default: by the role)',
      part,
    )
    .option('--bus', 'as --part bus: the log, and services keep their sagas and guards elsewhere')
    .option(
      '--topics <patterns>',
      'it may publish to these only, and consume these only, as orders,stock.*',
      names,
    )
    .option('--consume <patterns>', 'it may consume these only, where they are others than --topics', names)
    .option('--groups <patterns>', 'it may act for these consumer groups only', names)
    .option('--apply', 'runs it, in one transaction')
    .action(async ({ role, bus, apply, ...rest }: GrantsOptions & { bus?: true }) => {
      const options: GrantOptions = { roles: role, ...(bus === true ? { part: 'bus' } : {}), ...rest };
      const statements = grantStatements({ ...options, schema: globals(program).schema });
      if (apply === true) {
        await withDatabase(program, (database) =>
          database.withConnection((connection) => applyGrants(connection, options)),
        );
        output.write(`${rest.login} has the rights of ${role.join(' and ')}, and no others in the schema\n`);
      } else output.write(`begin;\n${statements.map((statement) => `${statement};\n`).join('')}commit;\n`);
    });
}
