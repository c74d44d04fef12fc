import { isWaybillError, type PgDatabase } from '@waybill/kernel';
import { busIdentity, serviceState } from '@waybill/log/postgres/internal';
import { assertMigrated, type SchemaPart } from '@waybill/schema';
import { schemaVersion } from '@waybill/schema/internal';
import { sessionRights } from '../statements.generated.js';
import { look } from './look.js';
import { type Note, type Section, sectionOf, unreadable } from './section.js';

/** A database, as this login sees it. */
export interface DatabaseFigures {
  /** The system identifier of its cluster. */
  readonly cluster: string;
  readonly database: string;
  /** The number of the newest migration. */
  readonly schemaVersion: number;
  readonly isStandby: boolean;
  /** Whether this login sees the sessions of others. */
  readonly seesAllSessions: boolean;
}

export interface ServiceFigures extends DatabaseFigures {
  readonly serviceId: string;
  /** The bus that it is bound to; null before its first contact with one. */
  readonly busId: string | null;
  /** The epoch of the log in which all that it has handed over is there. */
  readonly logEpoch: number | null;
}

export interface BusFigures extends DatabaseFigures {
  readonly busId: string;
  readonly logEpoch: number;
}

const STANDBY: Note = {
  state: 'stuck',
  text: 'this server is a standby, on which nothing works',
  advice: 'Connect to the primary, or promote this server.',
};

/** The service: its id, schema, and bus. @throws the loss of the connection */
export async function serviceSection(database: PgDatabase): Promise<Section<ServiceFigures>> {
  return identified('service', database, async (common) => {
    const [state] = await look(database, (session) => session.run(serviceState));
    const { serviceId = '', busId = null, logEpoch = null } = state ?? {};
    const figures = { ...common, serviceId, busId, logEpoch };
    const bound = busId === null ? 'not bound to a bus yet' : `bound to bus ${busId}`;
    const text = `${serviceId} in ${figures.database}, schema version ${figures.schemaVersion}, ${bound}`;
    return sectionOf('service', text, figures.isStandby ? [STANDBY] : [], figures);
  });
}

/** The bus, compared with what the service knows of it. @throws the loss of the connection */
export async function busSection(
  bus: PgDatabase,
  service: ServiceFigures | null,
): Promise<Section<BusFigures>> {
  return identified('bus', bus, async (common) => {
    const [identity] = await look(bus, (session) => session.run(busIdentity));
    const { busId = '', logEpoch = 0 } = identity ?? {};
    const figures = { ...common, busId, logEpoch };
    const place = areOneDatabase(service, figures) ? "in the service's database" : `in ${figures.database}`;
    const text = `${busId} ${place}, schema version ${figures.schemaVersion}, log epoch ${logEpoch}`;
    return sectionOf('bus', text, busNotes(figures, service), figures);
  });
}

/** Whether service and bus share a database. */
export function areOneDatabase(a: DatabaseFigures | null, b: DatabaseFigures | null): boolean {
  return a !== null && b !== null && a.cluster === b.cluster && a.database === b.database;
}

function busNotes(bus: BusFigures, service: ServiceFigures | null): Note[] {
  const notes: Note[] = bus.isStandby ? [STANDBY] : [];
  const isAnother = service !== null && service.busId !== null && service.busId !== bus.busId;
  if (isAnother)
    notes.push({
      state: 'stuck',
      text: 'the service is bound to another bus',
      advice: 'Give the address of its bus with --bus-url or WAYBILL_BUS_URL.',
    });
  else if (service !== null && service.logEpoch !== null && service.logEpoch < bus.logEpoch)
    notes.push({
      state: 'waiting',
      text: `the service has caught up with epoch ${service.logEpoch}: its relay has yet to append what the log had lost`,
      advice: 'Make sure that a relay of the service runs.',
    });
  return notes;
}

async function identified<Figures>(
  part: SchemaPart,
  database: PgDatabase,
  describe: (common: DatabaseFigures) => Promise<Section<Figures>>,
): Promise<Section<Figures>> {
  const option = part === 'bus' ? ' --bus' : '';
  try {
    const [common, version] = await look(database, async (session) => {
      await assertMigrated(session, part);
      return [(await session.run(sessionRights))[0], await schemaVersion(session, part)] as const;
    });
    return await describe({
      cluster: common?.cluster ?? '',
      database: common?.database ?? '',
      schemaVersion: version,
      isStandby: common?.isStandby ?? false,
      seesAllSessions: common?.seesAll ?? false,
    });
  } catch (error) {
    if (!isWaybillError(error) || error.code !== 'MIGRATION_REQUIRED') throw error;
    const address =
      part === 'bus'
        ? 'give the address of the bus with --bus-url or WAYBILL_BUS_URL'
        : 'correct the address';
    return unreadable(part, {
      text: error.message,
      advice: `Run \`waybill migrate${option}\` there, or ${address}.`,
    });
  }
}
