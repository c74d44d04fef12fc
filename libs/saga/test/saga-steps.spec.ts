import { describe, expect, test } from '@jest/globals';
import { given } from '@waybill/testing/saga';
import { httpCommand, saga, sagaCommand, SagaRejectedError, tcc, tccBranch } from '@waybill/saga';

const flight = sagaCommand<{ to: string }, { seat: string }>('flight.book');
const unflight = sagaCommand<{ seat: string | undefined }>('flight.cancel');
const hotel = sagaCommand<{ to: string }, { room: number }>('hotel.book');
const unhotel = sagaCommand<object>('hotel.cancel');
const visa = sagaCommand<{ seat: string }>('visa.ask');
const pay = sagaCommand<object, { receipt: string }>('pay');
const mail = sagaCommand<object>('mail');

const trip = saga<{ to: string; vip: boolean }>('trip', { deadlineMs: 3_600_000 })
  .parallel((group) =>
    group
      .step('flight', {
        invoke: flight,
        with: ({ to }) => ({ to }),
        then: ({ seat }) => ({ seat }),
        undo: { invoke: unflight, with: ({ seat }) => ({ seat }) },
      })
      .step('hotel', {
        invoke: hotel,
        with: ({ to }) => ({ to }),
        then: ({ room }) => ({ room }),
        undo: { invoke: unhotel, with: () => ({}) },
      })
      .step('visa', { invoke: visa, with: ({ seat }) => ({ seat }), after: ['flight'] }),
  )
  .waitFor<{ yes: boolean }, { approved: true }>('approval', {
    when: ({ vip }) => !vip,
    then: ({ yes }) => {
      if (!yes) throw new SagaRejectedError('not approved');
      return { approved: true };
    },
    timeoutMs: 60_000,
  })
  .step('pay', { invoke: pay, with: () => ({}), then: ({ receipt }) => ({ receipt }), pivot: true })
  .step('mail', { invoke: mail, with: () => ({}), policy: { timeoutMs: 1_000, maxAttempts: 2, delayMs: 10 } })
  .build();

const start = { to: 'Rome', vip: false };
const booked = (data = start) =>
  given(trip)
    .whenStarted('T-1', data)
    .expectCommand(flight, { to: 'Rome' })
    .expectCommand(hotel, { to: 'Rome' })
    .expectNoCommand()
    .whenReply('flight', { seat: '7A' })
    .expectCommand(visa, { seat: '7A' })
    .whenReply('hotel', { room: 12 })
    .expectNoCommand()
    .whenReply('visa');

describe('parallel steps', () => {
  test('one that follows another waits for it, and the saga waits for all', () => {
    booked()
      .whenSignal('approval', { yes: true })
      .expectCommand(pay)
      .expectData({ approved: true, room: 12 });
  });

  test('are undone in parallel, and one that followed another before that one', () => {
    booked()
      .whenSignal('approval', { yes: false })
      // The visa has no compensation; the two others go at once.
      .expectCommand(unflight, { seat: '7A' })
      .expectCommand(unhotel)
      .expectState('COMPENSATING')
      .whenReply('hotel')
      .whenReply('flight')
      .expectState('COMPENSATED');
  });

  test('one that is rejected compensates the others, with or without a reply; a late reply still provides the data to undo', () => {
    given(trip)
      .whenStarted('T-1', start)
      .expectCommand(flight)
      .expectCommand(hotel)
      .whenRejected('hotel', 'full')
      // Maybe done: what its answer would have brought is missing.
      .expectCommand(unflight, { seat: undefined })
      .expectState('COMPENSATING')
      .whenReply('flight')
      .expectState('COMPENSATED');
  });
});

test('sequential steps are undone sequentially, the last first', () => {
  const tour = saga<{ to: string }>('tour')
    .step('flight', {
      invoke: flight,
      with: ({ to }) => ({ to }),
      undo: { invoke: unflight, with: () => ({ seat: undefined }) },
    })
    .step('hotel', { invoke: hotel, with: ({ to }) => ({ to }), undo: { invoke: unhotel, with: () => ({}) } })
    .step('pay', { invoke: pay, with: () => ({}) })
    .build();
  given(tour)
    .whenStarted('T-1', { to: 'Rome' })
    .expectCommand(flight)
    .whenReply('flight', { seat: '7A' })
    .expectCommand(hotel)
    .whenReply('hotel', { room: 1 })
    .expectCommand(pay)
    .whenRejected('pay', 'no money')
    .expectCommand(unhotel)
    .expectNoCommand()
    .whenReply('hotel')
    .expectCommand(unflight)
    .whenReply('flight')
    .expectState('COMPENSATED');
});

describe('waiting', () => {
  test('is left out if its condition is false', () => {
    booked({ to: 'Rome', vip: true }).expectCommand(pay).expectState('RUNNING');
  });

  test('a signal may come long before its step', () => {
    given(trip)
      .whenStarted('T-1', start)
      .whenSignal('approval', { yes: true })
      .whenReply('flight', { seat: '7A' })
      .whenReply('hotel', { room: 12 })
      .whenReply('visa')
      .expectCommand(pay);
  });

  test('compensates when nothing arrives', () => {
    booked()
      .whenTimePasses(60_000)
      .expectCommand(unflight)
      .expectCommand(unhotel)
      .expectState('COMPENSATING');
  });
});

describe('times', () => {
  test('the deadline starts compensation, but not after the pivot', () => {
    const early = booked();
    early.whenSignal('approval', { yes: true }).expectCommand(pay).whenReply('pay', { receipt: 'r' });
    early.expectCommand(mail).whenReply('mail').expectState('COMPLETED');
    const late = given(trip).whenStarted('T-1', { ...start, vip: true });
    late.whenReply('flight', { seat: '7A' }).whenReply('hotel', { room: 1 }).whenReply('visa');
    late.expectCommand(flight).expectCommand(hotel).expectCommand(visa).expectCommand(pay);
    late
      .whenReply('pay', { receipt: 'r' })
      .expectCommand(mail)
      .whenRejected('mail', 'no')
      .expectState('STUCK');
    late.whenTimePasses(3_600_000).expectState('STUCK');
    const waiting = saga<object>('waiting', { deadlineMs: 1_000 }).waitFor('something').build();
    given(waiting).whenStarted('W', {}).whenTimePasses(999).expectState('RUNNING');
    given(waiting).whenStarted('W', {}).whenTimePasses(1_000).expectState('COMPENSATED');
  });

  test('a pivot that may be done and cannot be undone prevents compensation', () => {
    const story = booked().whenSignal('approval', { yes: true }).expectCommand(pay);
    story.whenFailed('pay', 'down').whenTimePasses(1_000).expectCommand(pay).whenCancelled();
    story.expectState('RUNNING');
    story.whenTimePasses(60_000).expectCommand(pay).whenTimePasses(60_000).expectState('STUCK');
    expect(story.instance.reason).toBe('pay: no reply in time');
  });

  test('a pivot that was certainly not done does not', () => {
    booked()
      .whenSignal('approval', { yes: true })
      .expectCommand(pay)
      .whenRejected('pay', 'no money')
      .expectCommand(unflight)
      .expectCommand(unhotel)
      .expectState('COMPENSATING');
  });
});

describe('definitions', () => {
  test('that are invalid are refused, with every problem', () => {
    const build = (): unknown =>
      saga('bad type!', { version: 0, deadlineMs: 1 })
        .step('a', { invoke: pay, with: () => ({}), pivot: true })
        .step('a', { invoke: pay, with: () => ({}), pivot: true, after: ['z'] })
        .parallel((group) => group.step('b', { invoke: pay, with: () => ({}), pivot: true }))
        .build();
    expect(build).toThrow(
      /a is to run after z[^]*two steps are named a|two steps are named a[^]*a is to run after z/,
    );
    expect(build).toThrow(/second pivot/);
    expect(build).toThrow(/b is a pivot and runs in parallel with others/);
    expect(build).toThrow(/its type "bad type!"/);
    expect(build).toThrow(/version must be a whole number from 1/);
    expect(build).toThrow(/deadlineMs must be a whole number from 10/);
    expect(() => saga('empty').build()).toThrow(/1 to 200 steps, has 0/);
    expect(() => httpCommand('ftp://x')).toThrow(/not an http or https URL/);
    expect(() => sagaCommand('a b')).toThrow(/topic name "a b"/);
  });

  test('whose functions throw make their saga stuck, without losing it', () => {
    const broken = saga<{ n: number }>('broken')
      .step('first', {
        invoke: pay,
        with: ({ n }) => {
          if (n === 1) throw new TypeError('n is one');
          return {};
        },
        then: () => {
          throw new TypeError('no receipt');
        },
      })
      .build();
    const first = given(broken).whenStarted('B', { n: 1 }).expectState('STUCK');
    expect(first.instance.reason).toContain('its command cannot be made: TypeError: n is one');
    const second = given(broken)
      .whenStarted('B', { n: 2 })
      .expectCommand(pay)
      .whenReply('first')
      .expectState('STUCK');
    expect(second.instance.reason).toContain('the result of step first is not usable: TypeError: no receipt');
  });

  test('TCC leaves branches out by a condition, and confirms the others', () => {
    const branch = (name: string, wanted: boolean) =>
      tccBranch<object, object>({
        try: sagaCommand(`${name}.try`),
        confirm: sagaCommand(`${name}.confirm`),
        cancel: sagaCommand(`${name}.cancel`),
        with: () => ({}),
        when: () => wanted,
      });
    const definition = tcc('trip', { hotel: branch('hotel', true), car: branch('car', false) });
    given(definition)
      .whenStarted('T', {})
      .expectCommand(sagaCommand('hotel.try'))
      .expectNoCommand()
      .whenReply('hotel', { room: 1 })
      .expectCommand(sagaCommand('hotel.confirm'))
      .expectNoCommand()
      .whenReply('hotel.confirm')
      .expectState('COMPLETED')
      .expectData({ tries: { hotel: { room: 1 } } });
  });
});
