import { type BoundStatement, describeError, type RemoteError } from '@waybill/kernel';
import { deadLetterInsert, type DeadLetterReason } from '@waybill/dead-letter';
import { controlOf, locationOf, messageIdOf } from '../record/record-fields.js';
import { remoteErrorOf, withheldError } from '../reply/remote-error.js';
import { failureReply, isReplyTopic, REPLY_TO_HEADER } from '../reply/reply.js';
import type { Failing } from './failing.js';
import { fieldsOf, type LaneEnvironment } from './lane-context.js';

/**
 * The statements that make a message a dead letter and send a reply if it is a request.
 * @param read runs a query, with retries
 */
export async function deadLetterStatements(
  environment: LaneEnvironment,
  failing: Failing,
  reason: DeadLetterReason,
  read: <T>(work: () => Promise<T>) => Promise<T>,
): Promise<BoundStatement[]> {
  const { context, subscription, topic, partition, progress } = environment;
  const { record, error, attempts, failingForMs } = failing;
  const letter = deadLetterInsert({
    groupId: context.groupId,
    partitionId: progress.ownership.partitionId,
    topic: topic.name,
    partition,
    handler: subscription.name,
    bucketSeq: record.bucketSeq,
    messageId: messageIdOf(record.record),
    key: record.key,
    record: record.record,
    reason,
    error,
    attempts,
    failingForMs,
  });
  const replyTo = subscription.replies ? controlOf(record.record)[REPLY_TO_HEADER] : undefined;
  if (replyTo === undefined || !isReplyTopic(replyTo)) return [letter];
  // A new requester may have created its reply topic just now.
  const found = await read(() => context.topics.find(replyTo));
  if (found === undefined) return [letter];
  const told = toldOf(environment, failing);
  return [letter, ...failureReply(record.record, replyTo, told, context.databases)];
}

/** The failure as reported to the requester. */
function toldOf(environment: LaneEnvironment, { record, error }: Failing): RemoteError {
  const { context, subscription, topic, partition } = environment;
  try {
    if (subscription.tellErrors(error)) return remoteErrorOf(error);
  } catch (failure) {
    context.logger.warn(`tellErrors failed: ${describeError(failure)}`, fieldsOf(environment));
  }
  const id = messageIdOf(record.record) ?? locationOf(topic.name, partition, record.offset);
  return withheldError(error, id);
}
