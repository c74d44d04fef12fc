/** Something that reached a saga and changed nothing: a signal that nothing waits for, or one after its end. */
export interface SagaIgnored {
  readonly ignoredAt: Date;
  /** Identifies the service. */
  readonly replyTopic: string;
  /** Null for an event that no saga waited for. */
  readonly sagaId: string | null;
  /** `signal`, `event`, `cancel` or `compensate`. */
  readonly kind: string;
  /** Name of the signal, the step that the event was for, or the topic of an event without a saga. */
  readonly name: string | null;
  readonly why: string;
  /** Undefined when it is unreadable. */
  readonly payload: unknown;
}
