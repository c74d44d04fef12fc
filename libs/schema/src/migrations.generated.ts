// Made by scripts/build-sql.mjs from ../migrations; do not edit.
import type { Migration } from './migration.js';
import { commonMigration0001 } from './migrations/common/0001-acl.generated.js';
import { commonMigration0002 } from './migrations/common/0002-subject-keys.generated.js';
import { serviceMigration0003 } from './migrations/service/0003-service.generated.js';
import { serviceMigration0004 } from './migrations/service/0004-outbox.generated.js';
import { serviceMigration0005 } from './migrations/service/0005-relay.generated.js';
import { serviceMigration0006 } from './migrations/service/0006-progress.generated.js';
import { serviceMigration0007 } from './migrations/service/0007-timer.generated.js';
import { serviceMigration0008 } from './migrations/service/0008-operators.generated.js';
import { serviceMigration0009 } from './migrations/service/0009-half-message.generated.js';
import { serviceMigration0010 } from './migrations/service/0010-message-guard.generated.js';
import { serviceMigration0011 } from './migrations/service/0011-barrier.generated.js';
import { serviceMigration0012 } from './migrations/service/0012-leases.generated.js';
import { serviceMigration0013 } from './migrations/service/0013-external-effects.generated.js';
import { serviceMigration0014 } from './migrations/service/0014-saga.generated.js';
import { serviceMigration0015 } from './migrations/service/0015-saga-transitions.generated.js';
import { serviceMigration0016 } from './migrations/service/0016-saga-search.generated.js';
import { serviceMigration0017 } from './migrations/service/0017-acl.generated.js';
import { serviceMigration0018 } from './migrations/service/0018-row-security.generated.js';
import { serviceMigration0019 } from './migrations/service/0019-relay-repair.generated.js';
import { serviceMigration0020 } from './migrations/service/0020-delivery-cost.generated.js';
import { serviceMigration0021 } from './migrations/service/0021-reconcile-scheduled.generated.js';
import { serviceMigration0022 } from './migrations/service/0022-publish-cost.generated.js';
import { busMigration0003 } from './migrations/bus/0003-log.generated.js';
import { busMigration0004 } from './migrations/bus/0004-groups.generated.js';
import { busMigration0005 } from './migrations/bus/0005-sources.generated.js';
import { busMigration0006 } from './migrations/bus/0006-row-security.generated.js';
import { busMigration0007 } from './migrations/bus/0007-report-order.generated.js';

export const SERVICE_MIGRATIONS: readonly Migration[] = [
  commonMigration0001,
  commonMigration0002,
  serviceMigration0003,
  serviceMigration0004,
  serviceMigration0005,
  serviceMigration0006,
  serviceMigration0007,
  serviceMigration0008,
  serviceMigration0009,
  serviceMigration0010,
  serviceMigration0011,
  serviceMigration0012,
  serviceMigration0013,
  serviceMigration0014,
  serviceMigration0015,
  serviceMigration0016,
  serviceMigration0017,
  serviceMigration0018,
  serviceMigration0019,
  serviceMigration0020,
  serviceMigration0021,
  serviceMigration0022,
];

export const BUS_MIGRATIONS: readonly Migration[] = [
  commonMigration0001,
  commonMigration0002,
  busMigration0003,
  busMigration0004,
  busMigration0005,
  busMigration0006,
  busMigration0007,
];
