import { type Headers } from '@waybill/consumer';
import { REPLY_KEY_HEADER, REPLY_TO_HEADER } from '@waybill/consumer/internal';
import type { SqlSession } from '@waybill/kernel';
import type { EncodedMessage, Outbox } from '@waybill/outbox';
import type { SagaDefinition, StepDefinition } from '../definition/saga-definition.js';
import { endStepOf, stepsOf } from '../machine/items.js';
import type { SagaOutput } from '../machine/saga-event.js';
import { type SagaInstance } from '../machine/saga-instance.js';
import { END_STEP } from '../definition/names.js';
import {
  SAGA_AGAIN_HEADER,
  SAGA_ATTEMPT_HEADER,
  SAGA_BEGUN_HEADER,
  SAGA_BRANCH_HEADER,
  SAGA_ID_HEADER,
  SAGA_MAC_HEADER,
  SAGA_OP_HEADER,
  SAGA_RELEASE_OP,
  SAGA_ORIGIN_HEADER,
  SAGA_STEP_HEADER,
} from './saga-headers.js';
import type { SagaKeys } from './saga-keys.js';

/** The dependencies of a service's saga messages. */
export interface MessageDependencies {
  readonly outbox: Outbox;
  readonly keys: SagaKeys;
}

/** The saga of the message. */
export interface MessageSaga {
  readonly definition: SagaDefinition;
  readonly instance: SagaInstance;
  readonly subject: string | undefined;
}

type OutputOf<Type extends SagaOutput['type']> = Extract<SagaOutput, { readonly type: Type }>;

/**
 * The message of a command, with the MAC that authenticates its reply.
 * @throws PayloadNotSerializableError, MessageTooLargeError
 */
export async function commandMessage(
  session: SqlSession,
  { outbox, keys }: MessageDependencies,
  { definition, instance, subject }: MessageSaga,
  { step, op, attempt, payload, again, topic }: OutputOf<'command'>,
): Promise<EncodedMessage> {
  const { id: sagaId } = instance;
  const branch = branchOf(definition, instance, step);
  const control: Headers = {
    [SAGA_ID_HEADER]: sagaId,
    [SAGA_STEP_HEADER]: step,
    [SAGA_BRANCH_HEADER]: branch,
    [SAGA_OP_HEADER]: op,
    [SAGA_ATTEMPT_HEADER]: String(attempt),
    [REPLY_TO_HEADER]: keys.replyTopic,
    [REPLY_KEY_HEADER]: sagaId,
    ...timesOf(instance, step),
    ...(again ? { [SAGA_AGAIN_HEADER]: '1' } : {}),
  };
  // A key per operation: a compensation must not wait for the action that it undoes.
  const key = `${sagaId}:${branch}:${op}`;
  const encoded = outbox.encodeControl({ topic, key, control, payload, subject: subject ?? null });
  const mac = await keys.command(session, { sagaId, step, op, attempt });
  return outbox.withControl(encoded, { ...control, [SAGA_MAC_HEADER]: mac });
}

/** Barriers judge a command's age by these: milliseconds from the time in the saga's id. */
function timesOf({ steps }: SagaInstance, step: string): Headers {
  const { begunMs = 0, origin } = steps[step] ?? {};
  return {
    [SAGA_BEGUN_HEADER]: String(begunMs),
    ...(origin && { [SAGA_ORIGIN_HEADER]: `${origin.begunMs},${origin.isKnown ? 'done' : 'unknown'}` }),
  };
}

/** The reminder of a waiting step: a command that expects no reply. */
export function reminderMessage(
  { outbox }: MessageDependencies,
  { instance, subject }: MessageSaga,
  { step, number, begunMs, topic, payload }: OutputOf<'reminder'>,
): EncodedMessage {
  const branch = `${step}:reminder-${number}`;
  const control: Headers = {
    [SAGA_ID_HEADER]: instance.id,
    [SAGA_STEP_HEADER]: step,
    [SAGA_BRANCH_HEADER]: branch,
    [SAGA_OP_HEADER]: 'action',
    [SAGA_ATTEMPT_HEADER]: '1',
    [SAGA_BEGUN_HEADER]: String(begunMs),
  };
  return outbox.encodeControl({
    topic,
    key: `${instance.id}:${branch}`,
    control,
    payload,
    subject: subject ?? null,
  });
}

/** The message that releases what a participant holds for a saga. */
export function releaseMessage(
  { outbox }: MessageDependencies,
  { definition, instance }: MessageSaga,
  { step }: OutputOf<'release'>,
): EncodedMessage | undefined {
  const { forward } = stepOf(definition, instance, step);
  if (forward.kind !== 'command' || forward.command.url !== undefined) return undefined;
  const branch = branchOf(definition, instance, step);
  const control: Headers = {
    [SAGA_ID_HEADER]: instance.id,
    [SAGA_STEP_HEADER]: step,
    [SAGA_BRANCH_HEADER]: branch,
    [SAGA_OP_HEADER]: SAGA_RELEASE_OP,
  };
  const { topic } = forward.command;
  return outbox.encodeControl({ topic, key: `${instance.id}:${branch}:release`, control, payload: null });
}

/** A step of an instance, by its name. */
export function stepOf(definition: SagaDefinition, instance: SagaInstance, name: string): StepDefinition {
  if (name === END_STEP) return endStepOf(definition) as StepDefinition;
  const step = stepsOf(definition, instance).steps.find((candidate) => candidate.name === name);
  if (step === undefined) throw new RangeError(`saga ${definition.type} has no step ${name}`);
  return step;
}

function branchOf(definition: SagaDefinition, instance: SagaInstance, step: string): string {
  return stepOf(definition, instance, step).branch;
}
