// Made by scripts/build-sql.mjs from ../migrations; do not edit.
import type { Migration } from './migration.js';
import { migration0001 } from './migrations/0001-log.generated.js';
import { migration0002 } from './migrations/0002-outbox.generated.js';
import { migration0003 } from './migrations/0003-consumer.generated.js';
import { migration0004 } from './migrations/0004-timer.generated.js';
import { migration0005 } from './migrations/0005-operators.generated.js';
import { migration0006 } from './migrations/0006-half-message.generated.js';
import { migration0007 } from './migrations/0007-message-guard.generated.js';
import { migration0008 } from './migrations/0008-barrier.generated.js';
import { migration0009 } from './migrations/0009-leases.generated.js';
import { migration0010 } from './migrations/0010-external-effects.generated.js';
import { migration0011 } from './migrations/0011-saga.generated.js';
import { migration0012 } from './migrations/0012-saga-transitions.generated.js';
import { migration0013 } from './migrations/0013-saga-search.generated.js';
import { migration0014 } from './migrations/0014-acl.generated.js';
import { migration0015 } from './migrations/0015-row-security.generated.js';
import { migration0016 } from './migrations/0016-participant-actions.generated.js';

export const MIGRATIONS: readonly Migration[] = [
  migration0001,
  migration0002,
  migration0003,
  migration0004,
  migration0005,
  migration0006,
  migration0007,
  migration0008,
  migration0009,
  migration0010,
  migration0011,
  migration0012,
  migration0013,
  migration0014,
  migration0015,
  migration0016,
];
