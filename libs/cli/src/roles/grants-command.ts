import { applyGrants, type GrantOptions, grantStatements, type Role } from '@waybill/schema';
import type { Command } from 'commander';
import { globals, withDatabase } from '../arguments/target.js';
import { type BusOption, partOf } from '../arguments/bus-option.js';
import type { Output } from '../output/output.js';
import { names, roles } from './role-arguments.js';

interface GrantsOptions {
  readonly role: readonly Role[];
  readonly login: string;
  readonly topics?: readonly string[];
  readonly consume?: readonly string[];
  readonly groups?: readonly string[];
  readonly apply?: true;
}

/** `waybill grants`: the rights of a publisher, service, monitor or operator. */
export function addGrantsCommand(program: Command, output: Output): void {
  program
    .command('grants')
    .description(
      'prints the SQL that grants a login the rights of its role and revokes all others in the schema; run it as the owner of the schema. Needs no database unless --apply is given',
    )
    .requiredOption(
      '--role <roles>',
      'publisher, service, monitor or operator; several separated by commas',
      roles,
    )
    .requiredOption('--login <name>', 'the database role that gets the rights')
    .option('--bus', 'the rights on the bus; otherwise those in the database of a service')
    .option('--topics <patterns>', 'it may publish to and consume only these, such as orders,stock.*', names)
    .option('--consume <patterns>', 'it may consume only these, if they differ from --topics', names)
    .option('--groups <patterns>', 'it may act only for these consumer groups', names)
    .option('--apply', 'runs the SQL, in one transaction')
    .action(async ({ role, bus, apply, ...rest }: GrantsOptions & BusOption) => {
      const options: GrantOptions = { roles: role, part: partOf(bus === true ? { bus } : {}), ...rest };
      const statements = grantStatements({ ...options, schema: globals(program).schema });
      if (apply === true) {
        await withDatabase(program, (database) =>
          database.withConnection((connection) => applyGrants(connection, options)),
        );
        output.write(
          `${rest.login} has the rights of ${role.join(' and ')}, and no other rights in the schema\n`,
        );
      } else output.write(`begin;\n${statements.map((statement) => `${statement};\n`).join('')}commit;\n`);
    });
}
