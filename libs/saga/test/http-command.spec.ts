import { describe, expect, test } from '@jest/globals';
import { httpCommand, type HttpCommandOptions } from '@waybill/saga';
import fc from 'fast-check';

type Request = Readonly<Record<string, unknown>>;

const urlOf = (url: string, request: unknown): string => {
  const { http } = httpCommand<Request>(url);
  return (http as NonNullable<typeof http>).url.for(request);
};

describe('the URL of an HTTP command', () => {
  test.each([
    ['https://a.example/{id}', { id: 17 }, 'https://a.example/17'],
    ['https://a.example/{id}?q={q}', { id: 'a/b', q: 'ä&b=c' }, 'https://a.example/a%2Fb?q=%C3%A4%26b%3Dc'],
    ['https://a.example/x{id}.json', { id: '.' }, 'https://a.example/x..json'],
    ['https://a.example?q={q}', { q: '..' }, 'https://a.example/?q=..'],
    ['https://a.example:8443/{isPaid}', { isPaid: false }, 'https://a.example:8443/false'],
    ['https://a.example/{id}', { id: '%2e%2e' }, 'https://a.example/%252e%252e'],
    ['https://a.example/{id}', { id: '\\..\\@b' }, 'https://a.example/%5C..%5C%40b'],
  ])('%s takes %j', (url, request, expected) => {
    expect(urlOf(url, request)).toBe(expected);
  });

  test.each([
    ['https://a.example/{id}', {}],
    ['https://a.example/{id}', null],
    ['https://a.example/{id}', 'id'],
    ['https://a.example/{id}', { id: '' }],
    ['https://a.example/{id}/x', { id: '..' }],
    ['https://a.example/{id}', { id: '.' }],
    ['https://a.example/.{id}', { id: '.' }],
    ['https://a.example/%2e{id}', { id: '.' }],
    ['https://a.example/{id}', { id: {} }],
    ['https://a.example/{id}', { id: ['a'] }],
    ['https://a.example/{id}', { id: NaN }],
    ['https://a.example/{toString}', { id: 'a' }],
    ['https://a.example/{id}', { id: '\ud800' }],
  ])('%s refuses %j', (url, request) => {
    expect(() => urlOf(url, request)).toThrow(Error);
  });

  test('never leaves its host or its path, whatever the data', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string()), (id) => {
        try {
          const { origin, pathname, search, hash } = new URL(
            urlOf('https://a.example/orders/{id}/charge', { id }),
          );
          expect([origin, search, hash]).toEqual(['https://a.example', '', '']);
          expect(pathname).toMatch(/^\/orders\/[^/]+\/charge$/);
          expect(decodeURIComponent(pathname.split('/')[2] ?? '')).toBe(id);
        } catch (error) {
          if (!['', '.', '..'].includes(id)) expect(error).toBeInstanceOf(URIError);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    'ftp://a.example/',
    'a.example',
    'https://{host}/',
    'https://a.{domain}/x',
    'https://a.example:{port}/',
    '{scheme}://a.example/',
    'https://{user}@a.example/',
    'https://a.example\\{x}/',
    'https://a.example/{not a field}',
    'https://a.example/{',
    17,
    undefined,
  ])('is refused when it is %j', (url) => {
    expect(() => httpCommand({ url: url as string })).toThrow(
      expect.objectContaining({ code: 'CONFIGURATION_INVALID' }),
    );
  });
});

test.each([
  [{ method: 'TRACE' }, /method must be one of POST/],
  [{ methd: 'PUT' }, /no option "methd", did you mean method/],
  [{ rejectOn: [200] }, /rejectOn must be an array of status codes from 300/],
  [{ rejectOn: 409 }, /rejectOn must be an array/],
  [{ headers: {} }, /headers must be a function/],
  [{ idempotencyKey: 'a' }, /idempotencyKey must be a function/],
  [{ timeoutMs: 0 }, /timeoutMs must be a whole number from 10/],
  [{ sendBody: 1 }, /sendBody must be true or false/],
  [{ callback: 'yes' }, /callback must be true or false/],
])('options %j are refused', (options, problem) => {
  const given = { url: 'https://a.example/', ...options } as unknown as HttpCommandOptions<Request>;
  expect(() => httpCommand(given)).toThrow(problem);
});
