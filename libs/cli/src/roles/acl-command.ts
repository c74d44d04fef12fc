import { type AclEntry, listRestrictions } from '@waybill/schema/internal';
import type { Command } from 'commander';
import { type Column, type ListOptions, listing, writeList } from '../output/table.js';
import { withDatabase } from '../arguments/target.js';
import type { Output } from '../output/output.js';

const COLUMNS: readonly Column<AclEntry>[] = [
  { head: 'LOGIN', of: ({ login }) => login },
  { head: 'MAY', of: ({ action }) => action ?? 'nothing' },
  { head: 'TOPICS', of: ({ topics }) => topics },
  { head: 'IN GROUPS', of: ({ groups }) => groups },
];

/** `waybill acl`: which logins are restricted to which topics and groups. */
export function addAclCommand(program: Command, output: Output): void {
  listing(program.command('acl'))
    .description(
      'lists restricted logins with their topics and groups; logins that are not listed are not restricted',
    )
    .action((options: ListOptions) =>
      withDatabase(program, async ({ session }) => {
        writeList(output, options, await listRestrictions(session), COLUMNS);
      }),
    );
}
