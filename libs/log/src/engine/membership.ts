import type { Clock, Logger } from '@waybill/kernel';

/** A partition that the log grants to a member. It is advice: the service's database decides whose work takes effect. */
export interface Grant {
  readonly partitionId: number;
  /** Grows whenever the partition changes hands, as long as the log does not go back. */
  readonly grantEpoch: number;
  /** The log's epoch at the time. */
  readonly logEpoch: number;
}

/** A partition that a member has taken in its service's database, by a grant. */
export interface TakenPartition extends Grant {
  /** The service's own counter. */
  readonly ownerEpoch: number;
}

/** A group's position in a partition, as a member stored it in its service's database. */
export interface ReportedPosition {
  readonly partitionId: number;
  /** The service's own counter, under which it was stored: the position only grows within one. */
  readonly ownerEpoch: number;
  /** Every offset below it is done. */
  readonly position: number;
}

/** Callbacks of a membership to its consumer. They are called one at a time, and awaited. */
export interface MembershipListener {
  /** This member owns the partition from now on. */
  onAssigned(grant: Grant): Promise<void>;
  /** The partition will be given to another member: finish deliveries in flight; it is released afterwards. */
  onRevoked(grant: Grant): Promise<void>;
  /** Another member already owns the partition: stop, and write nothing more. */
  onLost(grant: Grant): Promise<void>;
}

/** Options and dependencies of a {@link Membership}. */
export interface MembershipOptions {
  readonly group: string;
  /** The id of the service that the members belong to, asked at the start: all members of a group have the same. */
  readonly serviceId: () => string;
  /** Called at each heartbeat, since topics may be added. */
  readonly topics: () => readonly string[];
  /** How long a member keeps its partitions without a heartbeat, in milliseconds. */
  readonly leaseMs: number;
  /** Heartbeat interval, in milliseconds; at most a third of the lease. */
  readonly heartbeatMs: number;
  readonly listener: MembershipListener;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** This member's id, unique among all that the group ever has. Default: a new one. */
  readonly memberId?: string;
}

/** One member of a consumer group: the log shares the partitions of its topics out among the members. */
export interface Membership {
  /** This member's id; new for every start. */
  readonly memberId: string;
  /** The group's id. Known after the start. */
  readonly groupId: number;
  /** The partitions that this member owns, as far as it knows. */
  readonly owned: readonly Grant[];
  /** Whether the lease has certainly expired: no heartbeat has succeeded for that long. */
  readonly leaseLapsed: boolean;
  /**
   * Joins the group.
   * @throws GroupServiceMismatchError when its members are of another service
   */
  start(): Promise<void>;
  /** Releases every partition and leaves the group, so that others take over immediately. A second call does nothing. */
  stop(): Promise<void>;
  /** Those of some grants that hold now, by partition id: asked from the log. */
  holds(grants: readonly Grant[]): Promise<ReadonlyMap<number, Grant>>;
  /**
   * Tells the log which owner epochs this member has taken in its service's database; 0 only asks.
   * @returns the highest that was told before, by partition id; for grants that still hold
   */
  reportTaken(taken: readonly TakenPartition[]): Promise<ReadonlyMap<number, number>>;
  /**
   * Tells the log the group's positions, for showing lag. One of an older owner epoch, or a smaller one of the same, changes
   * nothing: reports may arrive late.
   */
  reportPositions(positions: readonly ReportedPosition[]): Promise<void>;
  /**
   * Those of some topics that were created after a member of the group that subscribes to them had joined: all their
   * records are new to the group.
   */
  newToGroup(topics: readonly string[]): Promise<ReadonlySet<string>>;
}
