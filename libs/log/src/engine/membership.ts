import type { Clock, Logger } from '@waybill/kernel';

/** A partition that a member owns. */
export interface Ownership {
  readonly partitionId: number;
  /** Grows whenever the partition changes hands; every write for the partition is fenced by it. */
  readonly ownerEpoch: number;
}

/** Callbacks of a membership to its consumer. They are called one at a time, and awaited. */
export interface MembershipListener {
  /** This member owns the partition from now on. */
  onAssigned(ownership: Ownership): Promise<void>;
  /** The partition will be given to another member: finish deliveries in flight; it is released afterwards. */
  onRevoked(ownership: Ownership): Promise<void>;
  /** Another member already owns the partition: stop, and write nothing more. */
  onLost(ownership: Ownership): Promise<void>;
}

/** Options and dependencies of a {@link Membership}. */
export interface MembershipOptions {
  readonly group: string;
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
  readonly owned: readonly Ownership[];
  /** Whether the lease has certainly expired: no heartbeat has succeeded for that long. */
  readonly leaseLapsed: boolean;
  /** Joins the group. */
  start(): Promise<void>;
  /** Releases every partition and leaves the group, so that others take over immediately. A second call does nothing. */
  stop(): Promise<void>;
  /**
   * Reclaims partitions that this member already owns, under higher epochs: a transaction begun under an old one has been
   * committed when this returns, or never will be. Waits for no locks.
   * @returns the new ownerships, except partitions of other members and those in which a delivery is being committed
   */
  reclaim(ownerships: readonly Ownership[]): Promise<readonly Ownership[]>;
  /**
   * Those of some topics that were created after a member of the group that subscribes to them had joined: all their
   * records are new to the group.
   */
  newToGroup(topics: readonly string[]): Promise<ReadonlySet<string>>;
}
