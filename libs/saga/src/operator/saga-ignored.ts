/** What has come for a saga and changed nothing: a signal that nothing waits for, what came behind its end. */
export interface SagaIgnored {
  readonly ignoredAt: Date;
  /** Names the service. */
  readonly replyTopic: string;
  /** Null for an event that no saga has waited for. */
  readonly sagaId: string | null;
  /** `signal`, `event`, `cancel` or `compensate`. */
  readonly kind: string;
  /** Of the signal, the step that the event was for, or the topic of one without a saga. */
  readonly name: string | null;
  readonly why: string;
  /** Undefined where it is unreadable. */
  readonly payload: unknown;
}
