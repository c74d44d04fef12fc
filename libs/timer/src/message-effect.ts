import { MessageInvalidError } from '@waybill/kernel';
import { type DueTimer, type FiringPass, TIMER_KIND, type TimerEffect } from './timer-effect.js';

/**
 * Appends scheduled messages to the log. A record's timestamp is the time when its message was delivered to the log.
 */
export const messageEffect: TimerEffect = {
  kind: TIMER_KIND.message,
  async fire(timers, pass) {
    for (const timer of timers) append(timer, pass);
  },
};

function append(timer: DueTimer, pass: FiringPass): void {
  const { messageId, topic, partition, key, headers, payload } = timer;
  if (messageId === null || topic === null) {
    pass.setAside(timer, new MessageInvalidError(messageId ?? '?', topic ?? '?', 'its timer has no message'));
    return;
  }
  const message = {
    id: Buffer.from(messageId, 'latin1'),
    topic,
    partition,
    key: key === null ? null : Buffer.from(key, 'utf8'),
    headers,
    payload,
    timestampMs: pass.nowMs,
  };
  pass.append(message, timer);
}
